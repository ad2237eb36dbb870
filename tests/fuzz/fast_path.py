"""Atheris on the bodies of rows: ``python -m tests.fuzz.fast_path -max_total_time=600 -seed=1 FOLDER tests/corpus/fast_path``.

Arguments are those of libFuzzer. What is new goes into the first folder; a body about which the two paths disagree ends the run, and is
written to ``crash-...``.
"""

import logging
import sys

import atheris

with atheris.instrument_imports(include=["treadle.serving.request", "treadle.engine.encode", "treadle.engine.columns"]):
    from tests.fuzz.agreement import Both

from tests.fuzz.small_models import MODELS


def main(argv: list[str]) -> None:
    """Run until libFuzzer has had enough; it ends the process."""
    logging.disable(logging.CRITICAL)
    both = [Both(interface) for interface in MODELS.values()]

    def one(body: bytes) -> None:
        for pair in both:
            pair.check(body)

    atheris.Setup(argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
