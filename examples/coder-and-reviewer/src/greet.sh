#!/bin/sh
echo "Hello, you"
