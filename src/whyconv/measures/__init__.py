"""What has to run to be known: torch modules in, records out."""

from whyconv.measures.certificate import certify
from whyconv.measures.conditions import conditions
from whyconv.measures.effective_field import effective_field
from whyconv.measures.equivariance import equivariance
from whyconv.measures.identities import identities
from whyconv.measures.matrix import matrix
from whyconv.measures.surgery import surgery
from whyconv.measures.trace import trace
from whyconv.measures.translation import translation
from whyconv.measures.verify import verify, verify_convolution, verify_network

__all__ = [
    "certify",
    "conditions",
    "effective_field",
    "equivariance",
    "identities",
    "matrix",
    "surgery",
    "trace",
    "translation",
    "verify",
    "verify_convolution",
    "verify_network",
]
