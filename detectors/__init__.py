"""What it means. A detector reads event batches and answers with verdicts; features are what it knows of each
subject; a model turns features into a score.
"""

from detectors.verdict import SubjectKind, Verdict

__all__ = ["SubjectKind", "Verdict"]
