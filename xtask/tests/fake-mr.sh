#!/bin/sh
# Stands in for `mr`: notes each call in $FAKE/calls, writes its --out, waits while $FAKE/hang
# exists, and fails where $FAKE/fail-COMMAND does.
command=$1
echo "$*" >>"$FAKE/calls"
echo "threads $RAYON_NUM_THREADS"
out=
while [ $# -gt 0 ]; do
  if [ "$1" = --out ]; then out=$2; fi
  shift
done
case $command in
verify)
  echo "toy: replicated"
  echo "{}" >"$out"
  [ ! -e "$FAKE/fail-verify" ] || exit "$(cat "$FAKE/fail-verify")"
  exit 0
  ;;
report)
  echo "<html>" >"$out"
  exit 0
  ;;
esac
mkdir -p "$out"
if [ -e "$out/half" ]; then echo "goes on" >"$out/resumed"; fi
echo half >"$out/half"
if [ -e "$FAKE/hang" ]; then
  while [ -e "$FAKE/hang" ]; do sleep 0.05; done
  exit 1
fi
if [ -e "$FAKE/fail-$command" ]; then
  echo "no such data set"
  exit 2
fi
echo "{}" >"$out/record.json"
