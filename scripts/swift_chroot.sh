#!/usr/bin/env bash
# Makes the Swift toolchain that the tests of the Apple kit use: a Debian trixie in a folder, with
# swiftlang 6. Takes one to three minutes and 3 GB; does nothing where it is there already.
# Needs root (chroot, mount). Prints the folder.
#
#   scripts/swift_chroot.sh [FOLDER]     default: ~/.cache/phoneproof/swift
set -euo pipefail

root=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/phoneproof/swift}
packages=ca-certificates,swiftlang,libc6-dev,libstdc++-14-dev

is_ready() { [ -x "$root/usr/libexec/swift/bin/swift" ]; }

if is_ready; then
  echo "$root"
  exit 0
fi
if [ "$(id -u)" != 0 ]; then
  echo "swift_chroot: root is needed to make $root" >&2
  exit 1
fi

mkdir -p "$(dirname "$root")"
exec 9>"$root.lock"
flock 9
if is_ready; then # another one made it meanwhile
  echo "$root"
  exit 0
fi

# debootstrap mounts /proc and /sys; nothing is deleted through a mount that it left.
discard() {
  local folder=$1 place
  [ -e "$folder" ] || return 0
  while read -r place; do
    umount --lazy "$place"
  done < <(awk -v under="$folder/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r)
  rm -rf --one-file-system "$folder"
}

fresh=$root.new
discard "$fresh" # of a run that was killed
trap 'discard "$fresh"' EXIT
trap 'exit 130' INT TERM

if ! command -v debootstrap >/dev/null; then
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends debootstrap >&2
fi
echo "making a Swift toolchain in $root (3 GB, one to three minutes)" >&2
log=$root.log
export DPKG_FORCE=unsafe-io # what is not whole in the end is thrown away
if ! debootstrap --variant=minbase --include="$packages" trixie "$fresh" >"$log" 2>&1; then
  tail -20 "$log" >&2
  exit 1
fi
rm -rf "$fresh"/var/cache/apt/archives/*.deb
mkdir "$fresh/work" # where tests are mounted
[ -x "$fresh/usr/libexec/swift/bin/swift" ] || { echo "swift_chroot: no swift in it" >&2; exit 1; }
mv "$fresh" "$root"
rm -f "$log"
echo "$root"
