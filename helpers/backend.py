"""Keras, loaded in one place: in single precision, by TensorFlow unless KERAS_BACKEND says JAX.

Whatever the user's own keras.json holds.
"""

from __future__ import annotations

import logging
import os
import sys

BACKENDS = ("tensorflow", "jax")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Recurrent networks of a few units are thousands of small operations: sharing out each takes longer than doing it.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
if os.environ["KERAS_BACKEND"] not in BACKENDS:
    raise ValueError(f"KERAS_BACKEND is {os.environ['KERAS_BACKEND']!r}: expected one of {', '.join(BACKENDS)}; "
                     "correct or unset it")

# Without a graphics card TensorFlow says so while it is loaded and when it looks for one, in words of a failure and
# before its own filter counts.
sys.stderr.flush()
_stderr = os.dup(2)
with open(os.devnull, "w") as _nowhere:
    os.dup2(_nowhere.fileno(), 2)
try:
    import keras
    from keras import layers, ops

    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.list_physical_devices()
finally:
    os.dup2(_stderr, 2)
    os.close(_stderr)

keras.config.set_floatx("float32")
keras.config.set_epsilon(1e-7)
keras.config.set_image_data_format("channels_last")
# TensorFlow warns of a new trace for each size of a last batch; three are expected here.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

__all__ = ["keras", "layers", "ops"]
