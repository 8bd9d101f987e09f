import os
import shutil
import sys

command, *options = sys.argv[1:]
if command == "collectstatic":
    shutil.copytree("static", options[-1])
    print(len(os.listdir(options[-1])), "static files copied")
else:
    print(command, os.environ["DJANGO_SETTINGS_MODULE"], "as", os.getuid() != 0)
