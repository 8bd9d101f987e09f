#!/bin/sh
set -e
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    exec gosu redis "$0" "$@"
fi
echo "$1 $REDIS_VERSION as $(id -un) in $(pwd)"
