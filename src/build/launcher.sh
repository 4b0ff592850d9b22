#!/bin/sh
# stellar-net @VERSION@ for @TARGET@. Behind this script lies an archive (tar,
# gzip) with a runtime and the program. A user's first start unpacks it into a
# folder of that user's alone; the others see that nothing has changed since.
set -u
name=@NAME@
digest=@DIGEST@
machine=@MACHINE@
offset=@OFFSET@
# A library that cannot be loaded makes every tool below write an error. The
# program itself gets the variable back.
preload=${LD_PRELOAD-}
unset LD_PRELOAD

# What the file system says of the files in the folder $1, with the time of each
# one's last change, whatever was changed.
describe() {
  export LC_ALL=C TZ=UTC0
  cd "$1/$name" && stat -c '%f %u %s %z' . bin bin/* app app/*
}

# Whether the files in the folder $1 are as this user has left them.
is_unchanged() {
  [ -O "$1/$name.stamp" ] && [ ! -L "$1/$name.stamp" ] &&
    [ "$(describe "$1" 2>/dev/null)" = "$(cat "$1/$name.stamp")" ]
}

# Writes down how the files in the folder $1 are left. Where that cannot be,
# each start checks them all.
leave() {
  stamp=$(mktemp "$1/.stamp-XXXXXX" 2>/dev/null) || return 0
  if (describe "$1") >"$stamp" 2>/dev/null; then
    mv -f "$stamp" "$1/$name.stamp"
  else
    rm -f "$stamp"
  fi
}

# Whether the files in the folder $1 are those of the archive.
is_whole() {
  (cd "$1" && echo "$digest  SHA256SUMS" | sha256sum -c &&
    sha256sum -c SHA256SUMS) >/dev/null 2>&1
}

# Whether this user alone can change what is in the folder $1: none of it is
# another's, open to others, or a link.
is_own() {
  [ -d "$1" ] && [ -O "$1" ] && [ -z "$(find "$1" \( ! -user "$(id -u)" \
    -o -type l -o -perm -020 -o -perm -002 \) -print 2>&1)" ]
}

# Whether the program lies in the folder $1 and can be trusted.
is_good() {
  is_own "$1/$name" && is_whole "$1/$name"
}

# Unpacks into the folder $1. Says why not.
unpack() {
  if [ "$(uname -m)" != "$machine" ]; then
    echo "this file is for $machine, and the host is $(uname -m)"
    return 1
  fi
  new=$(mktemp -d "$1/.unpack-XXXXXX" 2>&1) || {
    echo "$new"
    return 1
  }
  trap 'rm -rf "$new"' EXIT
  trap 'exit 1' HUP INT TERM
  if ! said=$({ tail -c "+$offset" "$self" | gzip -dc | tar -xof - -C "$new"; } 2>&1); then
    case $said in
    *"No space left"*) echo "no space is left, and 100 MB are needed" ;;
    *) echo "the archive is damaged, or cannot be read: $said" ;;
    esac
    return 1
  elif ! is_whole "$new"; then
    echo "the archive is damaged; copy the file again"
    return 1
  fi
  # What is in the way may have been put there by another first start.
  settle "$1" >/dev/null 2>&1 || is_good "$1" || settle "$1" replace 2>&1
}

# Moves what was unpacked to its place in the folder $1, as the first thing that
# the runtime does: it may not start here.
settle() {
  DENO_DIR=$new/cache "$new/bin/stellar-net" run --quiet --no-prompt \
    --no-config --no-lock --allow-read --allow-write \
    "$new/settle.js" "$new" "$1/$name" ${2-}
}

# Sees to it that the program lies in the folder $1. Says why not.
prepare() {
  umask 077
  export LC_ALL=C
  [ -d "$1" ] || mkdir -p "$1" 2>&1 || return 1
  if [ -L "$1" ] || [ ! -O "$1" ] ||
    [ -n "$(find "$1/." -prune \( -perm -020 -o -perm -002 \) -print 2>&1)" ]; then
    echo "it is not a folder that this user alone can write"
    return 1
  fi
  # Files that were copied, say, are good and unknown.
  is_good "$1" || unpack "$1" || return 1
  leave "$1"
}

# Says what is wrong, to container runtimes as CNI wants it.
fail() {
  if [ -n "${CNI_COMMAND-}" ]; then
    printf '{"cniVersion":"1.0.0","code":5,"msg":"%s"}\n' \
      "$(printf %s "$1" | tr -d '"\\' | tr '\n\t' '  ')"
  else
    printf 'stellar-net: %s\n' "$1" >&2
  fi
  exit 1
}

# Finds the program in one of some folders, or unpacks it there.
find_program() {
  for base; do
    is_unchanged "$base" && return
  done
  tried=
  for base; do
    said=$(prepare "$base" </dev/null) && return
    tried="$tried; \"$base\": $said"
  done
  fail "Cannot unpack this program: ${tried#; }; \
name another folder with STELLAR_NET_UNPACK"
}

case $0 in
/*) self=$0 ;;
*/*) self=$PWD/${0#./} ;;
*) self=$PWD/$0 && [ -f "$self" ] || self=$(command -v -- "$0") ;;
esac

# Folders by their owner's choice, or the usual ones.
find_usual() {
  if [ -n "${STELLAR_NET_UNPACK-}" ]; then
    find_program "$STELLAR_NET_UNPACK"
  elif [ -O / ]; then
    # Only root's start is one by the owner of the root folder.
    find_program /var/cache/stellar-net /var/lib/stellar-net/unpacked
  elif [ -n "${XDG_CACHE_HOME-}" ]; then
    find_program "$XDG_CACHE_HOME/stellar-net"
  elif [ -n "${HOME-}" ]; then
    find_program "$HOME/.cache/stellar-net"
  else
    find_program "${TMPDIR:-/tmp}/stellar-net-$(id -u)"
  fi
}

find_usual
export STELLAR_NET_EXECUTABLE="$self" DENO_DIR="$base/$name/cache"
export DENO_NO_UPDATE_CHECK=1 DENO_NO_PACKAGE_JSON=1
[ -z "$preload" ] || export LD_PRELOAD="$preload"
exec "$base/$name/bin/stellar-net" @COMMAND@ "$base/$name/app/main.js" "$@"
exit 1
