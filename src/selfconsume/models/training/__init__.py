"""Training of networks: the gradient loop, minibatches, pairing, samplers.

Imports types, validity and nets.
"""
