#!/usr/bin/env bash
# Makes sure that what the Android library and its apps are built and tested with is here, without
# an Android SDK: Maven, a JDK 17, and Debian's aapt2, zipalign and apksigner. Installs what is
# missing by apt, which takes root and a minute; does nothing where everything is there. What Maven
# itself needs (700 MB) it loads on its first run, into ~/.m2.
#
#   scripts/android_toolchain.sh
set -euo pipefail

has() { command -v "$1" >/dev/null; }
has_jdk() { has javac && javac -version 2>&1 | grep -Eq '^javac (17|21)\.'; }

missing=()
has_jdk || missing+=(openjdk-17-jdk-headless)
has mvn || missing+=(maven)
has aapt && has aapt2 || missing+=(aapt)
has zipalign || missing+=(zipalign)
has apksigner || missing+=(apksigner)
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
for command in mvn aapt2 zipalign apksigner; do
  has "$command" || { echo "android_toolchain: no $command after all" >&2; exit 1; }
done
has_jdk || { echo "android_toolchain: no JDK 17 after all" >&2; exit 1; }
