"""What a paper prescribes for training, as pure functions.

Belongs here: losses, optimizers, learning rates, augmentation on the device.
Does not: anything that reads files, keeps state of its own or knows a loop.

May import `zoo` and `errors`.
"""
