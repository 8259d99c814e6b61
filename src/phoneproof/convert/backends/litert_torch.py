"""Hub -> TFLite float32 with litert-torch (no TensorFlow)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from phoneproof.convert.backends.hub_module import HubModule, load_module
from phoneproof.convert.backends.tflite_artifact import write_tflite
from phoneproof.convert.base import ConvertRequest
from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Format
from phoneproof.core.errors import ConversionFailed, first_line
from phoneproof.formats.quiet import quiet, without_cycle_collection

_TOOL: Final = "litert-torch"


class LiteRtTorchConverter:
    """litert_torch.convert, then names and metadata."""

    source: Format = "hub"
    format: Format = "tflite"

    def convert(self, request: ConvertRequest) -> WrittenModel:
        """Write one TFLite file with contract and binding in its metadata.

        Raises:
            ConversionFailed: the library broke, or wrote another shape, dtype or NaN.
            Unsupported: the file would need custom or Flex operators; named.
        """
        hub = load_module(request)
        binding = write_tflite(_convert(hub), request, hub.inputs, hub.outputs, _TOOL)
        return WrittenModel(
            binding=binding,
            options=(("layout", request.layout),),
            tools=(("litert-torch", version("litert-torch")), ("torch", version("torch"))),
        )


def _convert(hub: HubModule) -> bytes:
    try:
        with quiet(), without_cycle_collection():
            import litert_torch  # 4 s, and it logs while it is imported

            model = litert_torch.convert(hub.module, (hub.example,))
            return bytes(model.model_content())
    except ModuleNotFoundError:
        raise
    except Exception as error:  # litert-torch raises whatever its passes met
        raise ConversionFailed(f"{_TOOL} broke", found=first_line(error)) from error
