#!/usr/bin/env bash
echo ensured
