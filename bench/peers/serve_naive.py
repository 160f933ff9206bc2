"""The script that everybody writes first: FastAPI, an upload, the network."""

import threading

import uvicorn
from fastapi import FastAPI, UploadFile
from network import PORT, open_network, read_picture, tell

app = FastAPI()
forward = open_network()
lock = threading.Lock()


@app.post("/predict")
def predict(file: UploadFile) -> dict[str, float]:
    """One upload, on a thread of the framework's pool."""
    pixels = read_picture(file.file.read())
    with lock:
        return tell(forward(pixels[None])[0])


if __name__ == "__main__":
    uvicorn.run(app, port=PORT, log_level="warning")
