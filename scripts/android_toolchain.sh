#!/usr/bin/env bash
# Makes sure that Maven and a JDK 17 are here, with which the Android library is built and tested
# without an Android SDK. Installs what is missing by apt, which takes root and a minute; does
# nothing where both are there. What Maven itself needs (600 MB) it loads on its first run, into
# ~/.m2.
#
#   scripts/android_toolchain.sh
set -euo pipefail

has_jdk() { command -v javac >/dev/null && javac -version 2>&1 | grep -Eq '^javac (17|21)\.'; }
has_maven() { command -v mvn >/dev/null; }

missing=()
has_jdk || missing+=(openjdk-17-jdk-headless)
has_maven || missing+=(maven)
if [ "${#missing[@]}" = 0 ]; then
  exit 0
fi
if [ "$(id -u)" != 0 ]; then
  echo "android_toolchain: root is needed to install ${missing[*]}" >&2
  exit 1
fi

echo "installing ${missing[*]}" >&2
apt-get update -qq >&2
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >&2
has_jdk && has_maven || { echo "android_toolchain: no Maven with a JDK 17 after all" >&2; exit 1; }
