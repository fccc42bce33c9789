"""Converts a state dict in PyTorch's legacy (non-zip) pickle format to safetensors.

    python3 -I convert_pt.py IN.pt OUT.safetensors

Standard library only. The pickle never imports anything: each name that it may ask for stands in a
table of inert stand-ins, and any other name ends the run.
"""

import json
import math
import os
import pickle
import struct
import sys

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
# What PyTorch calls a storage: what safetensors calls it, bytes per value.
STORAGES = {
    "DoubleStorage": ("F64", 8),
    "FloatStorage": ("F32", 4),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2),
    "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
}


class Refused(Exception):
    pass


class Ordered(dict):
    """Stands in for collections.OrderedDict; pickles may hang attributes on it."""


class Storage:
    def __init__(self, kind, size):
        self.dtype, self.width = STORAGES[kind]
        self.size = size
        self.data = None


class Kind:
    """Stands in for a storage class; nothing can be done with it but name it."""

    def __init__(self, name):
        self.name = name


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides


def rebuild(storage, offset, shape, strides, *_unused):
    if not isinstance(storage, Storage):
        raise Refused("a tensor without a storage")
    sizes = [offset, *shape, *strides]
    if len(shape) != len(strides) or not all(type(n) is int and n >= 0 for n in sizes):
        raise Refused(f"a tensor of shape {shape} and strides {strides} at {offset}")
    if math.prod(shape) > storage.size:
        raise Refused(f"a tensor of shape {shape} in a storage of {storage.size} values")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides))
    if 0 not in shape and last >= storage.size:
        raise Refused(f"a tensor of shape {shape} reaches past the end of its storage")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


NAMES = {
    ("collections", "OrderedDict"): Ordered,
    ("torch._utils", "_rebuild_tensor_v2"): rebuild,
    **{("torch", kind): Kind(kind) for kind in STORAGES},
}


class Reader(pickle.Unpickler):
    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) not in NAMES:
            raise Refused(f"the pickle asks for {module}.{name}")
        return NAMES[module, name]

    def persistent_load(self, reference):
        what, kind, key, _device, size, *view = reference
        if what != "storage" or not isinstance(kind, Kind) or any(view):
            raise Refused(f"a reference to {what}, not to a whole storage")
        if type(size) is not int or size < 0:
            raise Refused(f"a storage of {size} values")
        return self.storages.setdefault(key, Storage(kind.name, size))


def read(file):
    if Reader(file).load() != MAGIC:
        raise Refused("not a legacy PyTorch file")
    if Reader(file).load() != PROTOCOL:
        raise Refused(f"another protocol than {PROTOCOL}")
    if Reader(file).load().get("little_endian") is not True:
        raise Refused("only little-endian files are read")
    reader = Reader(file)
    state = reader.load()
    if not isinstance(state, dict):
        raise Refused("it holds not a dict of tensors")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise Refused(f"entry {name!r} is not a tensor")
    for key in Reader(file).load():
        storage = reader.storages[key]
        (size,) = struct.unpack("<q", exactly(file, 8))
        if size != storage.size:
            raise Refused(f"a storage of {size} values, announced as {storage.size}")
        storage.data = exactly(file, size * storage.width)
    if file.read(1):
        raise Refused("bytes follow the last storage")
    return state


def exactly(file, count):
    data = file.read(count)
    if len(data) != count:
        raise Refused(f"truncated: expected {count} bytes, found {len(data)}")
    return data


def row_major(tensor):
    """The tensor's bytes, last axis fastest."""
    data, width = tensor.storage.data, tensor.storage.width
    if data is None:
        raise Refused("a tensor's storage does not follow")
    places = [tensor.offset]
    for size, step in zip(tensor.shape, tensor.strides):
        places = [place + i * step for place in places for i in range(size)]
    if places == list(range(tensor.offset, tensor.offset + len(places))):
        return data[tensor.offset * width : (tensor.offset + len(places)) * width]
    return b"".join(data[place * width : (place + 1) * width] for place in places)


def write(path, state):
    header, bodies, end = {}, [], 0
    for name, tensor in state.items():
        bodies.append(row_major(tensor))
        start, end = end, end + len(bodies[-1])
        header[name] = {
            "dtype": tensor.storage.dtype,
            "shape": tensor.shape,
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(bodies))


def main():
    source, target = sys.argv[1:]
    try:
        with open(source, "rb") as file:
            state = read(file)
        write(target, state)
    except Exception as error:
        if os.path.exists(target):
            os.remove(target)
        if isinstance(error, Refused):
            sys.exit(f"refused: {error}")
        sys.exit(f"not a legacy PyTorch file: {type(error).__name__}: {error}")


main()
