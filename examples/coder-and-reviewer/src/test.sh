#!/bin/sh
# greet.sh greets the name that it is given, and "you" without one.
cd "$(dirname "$0")" || exit 1
[ "$(sh greet.sh Ada)" = "Hello, Ada" ] || { echo "no greeting for Ada"; exit 1; }
[ "$(sh greet.sh)" = "Hello, you" ] || { echo "no greeting for nobody"; exit 1; }
echo "all tests passed"
