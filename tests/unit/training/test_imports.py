"""Monitoring measures with these modules in the controller, which must not load a training library for it."""

import subprocess
import sys


def test_metrics_and_bootstrap_load_no_training_library() -> None:
    code = (
        "import sys, treadle.training.metrics, treadle.training.bootstrap\n"
        "print(sorted({'sklearn', 'pandas', 'scipy', 'lightgbm', 'xgboost', 'onnx', 'skl2onnx', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
