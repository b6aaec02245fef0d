# What the tests on an emulated machine share: a system that starts from memory, with the checkout in it. Sourced,
# with `work`, a directory for what is made, and `built`, the directory of cargo's output, set.

root=$work/root

step() {
  echo "==> $*"
}

# Prints "NAME PATH" of each test binary of `cargo test ARGUMENT...`.
binaries() {
  cargo test --quiet --locked --no-run --message-format=json "$@" | python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["profile"]["test"]:
        print(message["target"]["name"], message["executable"])'
}

# Copies the checkout to where it stands here, as tests look for it there, and the files of `built`, the
# preload library among them. There is no cargo: what it would build is there.
copy_checkout() {
  local file output
  output=$(realpath --relative-to=. "$built")
  rm -rf "${root:?}$PWD"
  # CARGO_TARGET_TMPDIR.
  mkdir --parents "$root$PWD/$output/tmp"
  git ls-files -z 2>/dev/null >"$work/files" || find . -path ./target -prune -o -type f -print0 >"$work/files"
  tar --create --null --files-from="$work/files" | tar --extract --directory="$root$PWD"
  for file in "$built"/debug/epochsocks "$built"/release/{epochsocks,libepochsocks_preload.so} "$@"; do
    file=$(realpath --relative-to=. "$file")
    install -D "$file" "$root$PWD/$file"
  done
  # It would call cargo.
  printf '#!/bin/sh\n' >"$root$PWD/src/preload/build-variants"
  for file in "$built"/release/libepochsocks_preload*.so; do
    install -D "$file" "$root$PWD/$output/preload-tests/release/${file##*/}"
  done
}

# Makes the first process: it runs the lines of standard input, in which `run NAME COMMAND...` says how a
# command ended.
write_init() {
  {
    cat <<INIT
#!/bin/bash
# From the memory that the kernel starts from pivot_root(2) leads nowhere.
[ -d /system ] || { mkdir /system && mount --bind / /system && exec chroot /system /init; }
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts
for place in /dev/shm /tmp /run; do mount -t tmpfs -o mode=1777 tmpfs \$place; done
ip link set lo up
ldconfig
echo 127.0.0.1 localhost >/etc/hosts
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root CARGO=/bin/true LANG=C.UTF-8
cd $PWD
# The kernel gives the first process 1,024 and 4,096.
ulimit -n 524288
run() { echo "==> \$1"; shift; "\$@"; echo "<== \$?"; }
INIT
    cat
    cat <<'INIT'
echo '==> all run'
echo o >/proc/sysrq-trigger
sleep 60
INIT
  } >"$root/init"
  chmod +x "$root/init"
}

# Runs the system on KERNEL by the emulator COMMAND..., and shows what it prints: emulate KERNEL CONSOLE COMMAND...
# The kernel gets `arguments`, too.
emulate() {
  local log=$work/log kernel=$1 console=$2
  shift 2
  (cd "$root" && find . -print0 | cpio --quiet --create --null --format=newc) >"$work/system.cpio"
  : >"$log"
  "$@" -display none -monitor none -serial file:"$log" -no-reboot -kernel "$kernel" -initrd "$work/system.cpio" \
    -append "console=$console rdinit=/init panic=-1 quiet ${arguments:-}" &
  local emulator=$!
  tail --pid=$emulator --lines=+1 --follow --retry "$log" 2>/dev/null | sed --unbuffered 's/\r$//'
  wait $emulator
  grep --quiet '^==> all run' "$log" || { echo "$0: the system stopped" >&2; exit 1; }
  if grep '^<== [1-9]' "$log" >/dev/null; then
    echo "$0: failed" >&2
    exit 1
  fi
}
