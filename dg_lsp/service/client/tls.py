"""TLS from the client's side: whom it trusts, and what went wrong with a connection, in words.

With a fingerprint, exactly one certificate is trusted, whatever its name, issuer and dates are.
Without one, certificates are checked as browsers do it. Either way, the check comes before the
first byte of a request, so neither the token nor any text reaches a stranger.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import socket
import ssl

from dg_lsp.reason import CodedError, ReasonCode
from dg_lsp.service.address import Address

_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)


class NobodyAnswersError(CodedError):
    """No connection could be made, or not to whom it should be; nothing was sent."""

    code = ReasonCode.NO_ENGINE


def tls_context(fingerprint: str) -> ssl.SSLContext:
    """What to trust; reads files, so it is for a thread."""
    if fingerprint:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # `check_fingerprint` does the checking.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    import certifi

    # The system's certificates and certifi's, because some systems have none.
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def check_fingerprint(writer: asyncio.StreamWriter, address: Address) -> None:
    """Raise `NobodyAnswersError` if the other side has another certificate than expected."""
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    # Hardly any client needs it.
    from dg_lsp.service.access.certificate import fingerprint_of

    found = fingerprint_of(shown or b"")
    if not hmac.compare_digest(found, address.fingerprint):
        writer.transport.abort()
        raise NobodyAnswersError(
            f"{address} shows the certificate sha256:{found}, and not the one that "
            "dgLsp.engine.fingerprint names",
            ReasonCode.WRONG_FINGERPRINT,
        )


def connecting_failed(error: OSError | UnicodeError, address: Address) -> NobodyAnswersError:
    """Why no connection could be made."""
    match error:
        case ssl.SSLCertVerificationError():
            said = error.verify_message.rstrip(".")
            way_out = ""
            if "self-signed" in said or "self signed" in said:
                way_out = "; dgLsp.engine.fingerprint trusts an engine's own certificate"
            return NobodyAnswersError(
                f"the certificate of {address} is refused: {said}{way_out}",
                ReasonCode.BAD_CERTIFICATE,
            )
        case ssl.SSLError():
            return NobodyAnswersError(
                f"{address} does not speak TLS as it should: {error.reason}",
                ReasonCode.BAD_ANSWER,
            )
        case TimeoutError():
            return NobodyAnswersError(
                f"{address} cannot be reached: no answer", ReasonCode.UNREACHABLE
            )
        case socket.gaierror() | UnicodeError():
            return NobodyAnswersError(
                f"{address} cannot be reached: no machine of that name", ReasonCode.UNREACHABLE
            )
        case OSError() if error.errno in _UNREACHABLE:
            return NobodyAnswersError(
                f"{address} cannot be reached: {error.strerror}", ReasonCode.UNREACHABLE
            )
        case ConnectionResetError() if address.url.startswith("https:"):
            return NobodyAnswersError(
                f"{address} broke off before TLS was set up", ReasonCode.BAD_ANSWER
            )
        case _:
            return NobodyAnswersError(f"no engine answers at {address}")
