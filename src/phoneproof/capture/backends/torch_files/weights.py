"""Tensors of a file as torch tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from phoneproof.capture.backends.torch_files.records import StorageRef, TensorRef


def tensor_of(storages: Mapping[StorageRef, bytes], ref: TensorRef) -> torch.Tensor:
    """One tensor with the file's values: floating point as float32, whole numbers as they are."""
    dtype: torch.dtype = getattr(torch, ref.storage.dtype)
    if not ref.numel:
        return torch.zeros(ref.shape, dtype=dtype)
    flat = torch.frombuffer(bytearray(storages[ref.storage]), dtype=dtype)
    view = flat.as_strided(ref.shape, ref.stride, ref.offset)
    return view.to(torch.float32, copy=True) if dtype.is_floating_point else view.clone()
