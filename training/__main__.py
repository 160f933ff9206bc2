"""`cxr-train` and `python -m training`."""

import sys

NEEDED = ("torch", "torchvision", "sklearn", "matplotlib", "onnx", "onnxscript")


def main() -> None:
    """Run the command line, or say what the environment of the service lacks."""
    try:
        from training.cli import main as run  # noqa: PLC0415 - the service's environment has no torch
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in NEEDED:
            raise
        sys.exit(f"cxr-train needs {missing}: use the environment of requirements/dev.txt")
    run()


if __name__ == "__main__":
    main()
