"""The quality verdict: contracts of every layer, conservation, drift, and the page that tells."""

from pipeline.quality.verdict import Verdict
from pipeline.quality.verify import export, keep, verify

__all__ = ["Verdict", "export", "keep", "verify"]
