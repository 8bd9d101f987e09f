#!/bin/sh
echo "would run: $*"
