import os

from flask import Flask, render_template

app = Flask(__name__)


@app.get("/")
def index():
    return render_template("index.html", release=os.environ.get("ZYNDRA_RELEASE_VERSION"))


@app.get("/health")
def health():
    return "ok"
