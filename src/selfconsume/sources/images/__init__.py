"""Sets of images in their official files: MNIST, CIFAR-10, FFHQ.

Imports what sources share.
"""
