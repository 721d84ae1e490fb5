"""Public checkpoints as generation 0: how other projects name the arrays of a U-Net, one layout a file."""
