import os


def greeting():
    return f"{os.environ['FLASK_APP']} is open"
