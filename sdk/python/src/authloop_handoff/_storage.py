"""The key that a storage state is sealed to. HPKE by ``cryptography``."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ._errors import ProtocolError, StorageStateError
from ._models import StorageState

_SUITE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_INFO = "authloop storage-state v1 "


class StorageKey:
    """A key pair for one session; the private half never leaves this object."""

    __slots__ = ("_private",)

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())

    @property
    def recipient(self) -> str:
        """The public half, as the host wants it."""
        point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return base64.urlsafe_b64encode(point).rstrip(b"=").decode()

    def open(self, sealed: object, session_id: str) -> StorageState:
        """Opens what the host sealed for this session.

        Raises:
            StorageStateError: it was sealed to another key or session, or was changed on its way.
        """
        try:
            raw = cast(Mapping[str, Any], sealed)
            ciphertext = _bytes(raw["enc"]) + _bytes(raw["ciphertext"])
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError("not a sealed storage state") from error
        # Not the answer's own `info`: the caller knows which session it asked for.
        info = f"{_INFO}{session_id}".encode()
        try:
            clear = _SUITE.decrypt(ciphertext, self._private, info=info)
        except (InvalidTag, ValueError) as error:
            raise StorageStateError("the storage state was not sealed to this session's key") from error
        return cast(StorageState, json.loads(clear))


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
