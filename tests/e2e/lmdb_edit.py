"""Changes one value in an LMDB file that nobody has open, through liblmdb: how a test gets a store of another format.

sluiced is linked against liblmdb, so the library is there where sluiced runs; Debian's python3-lmdb may not be.
"""

import ctypes
import os

_LIBRARY = "liblmdb.so.0"


class _Value(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_void_p)]


def _value(text):
    buffer = ctypes.create_string_buffer(text, len(text))
    value = _Value(len(text), ctypes.cast(buffer, ctypes.c_void_p))
    value.keep = buffer  # the bytes live as long as the value
    return value


def _checked(lmdb, error, doing):
    if error != 0:
        lmdb.mdb_strerror.restype = ctypes.c_char_p
        raise OSError(f"{doing}: {lmdb.mdb_strerror(error).decode()}")


def put(folder, table, name, text):
    """Sets `name` in `table` of the environment in `folder`. Returns what was there, or None."""
    lmdb = ctypes.CDLL(_LIBRARY)
    environment, transaction, handle = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint()
    lmdb.mdb_env_set_mapsize.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    _checked(lmdb, lmdb.mdb_env_create(ctypes.byref(environment)), "mdb_env_create")
    try:
        _checked(lmdb, lmdb.mdb_env_set_maxdbs(environment, 16), "mdb_env_set_maxdbs")
        _checked(lmdb, lmdb.mdb_env_set_mapsize(environment, 64 << 20), "mdb_env_set_mapsize")
        _checked(lmdb, lmdb.mdb_env_open(environment, os.fsencode(folder), 0, 0o600), "mdb_env_open")
        _checked(lmdb, lmdb.mdb_txn_begin(environment, None, 0, ctypes.byref(transaction)), "mdb_txn_begin")
        _checked(lmdb, lmdb.mdb_dbi_open(transaction, os.fsencode(table), 0, ctypes.byref(handle)), "mdb_dbi_open")
        key, old, new = _value(os.fsencode(name)), _Value(), _value(text)
        found = lmdb.mdb_get(transaction, handle, ctypes.byref(key), ctypes.byref(old)) == 0
        before = ctypes.string_at(old.data, old.size) if found else None
        _checked(lmdb, lmdb.mdb_put(transaction, handle, ctypes.byref(key), ctypes.byref(new), 0), "mdb_put")
        _checked(lmdb, lmdb.mdb_txn_commit(transaction), "mdb_txn_commit")
        return before
    finally:
        lmdb.mdb_env_close(environment)
