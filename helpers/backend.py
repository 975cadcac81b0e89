"""Keras, loaded in one place: TensorFlow unless KERAS_BACKEND says otherwise, whatever the user's own keras.json holds."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Without a graphics card TensorFlow says so while it is loaded, in words of a failure and before its own filter counts.
sys.stderr.flush()
_stderr = os.dup(2)
with open(os.devnull, "w") as _nowhere:
    os.dup2(_nowhere.fileno(), 2)
try:
    import keras
    from keras import layers, ops
finally:
    os.dup2(_stderr, 2)
    os.close(_stderr)

keras.config.set_floatx("float32")

__all__ = ["keras", "layers", "ops"]
