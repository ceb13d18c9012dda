# shellcheck shell=bash
# shellcheck disable=SC2154 # what it uses is set by run.sh
# Boots a root by qemu-system-aarch64 with Debian's kernel; sourced by run.sh, which sets `work`, `mode`, `limit`, `say`, `fail`.

boot_vm() {
    local root=$1 image=$work/root.img status=0
    # The initrd mounts the root; fstab need only not be missing.
    : > "$root/etc/fstab"
    mke2fs -q -t ext4 -d "$root" "$image" 1400M
    rm -rf "$root"
    say "booting $mode (emulated: minutes)"
    # No network and no clock device of the host's are needed; panic=-1 and -no-reboot end a machine that dies.
    : > "target/boot/$mode.console"
    timeout --kill-after=10 "$limit" qemu-system-aarch64 -M virt -cpu cortex-a72 -smp 2 -m 1024 -nographic -nodefaults \
        -serial stdio -net none -no-reboot -kernel "$cache/vmlinuz" -initrd "$cache/initrd" \
        -drive "if=none,id=d,file=$image,format=raw,cache=unsafe" -device virtio-blk-pci,drive=d \
        -append 'console=ttyAMA0 root=/dev/vda rw panic=-1 quiet' < /dev/null > "target/boot/$mode.console" 2>&1 &
    machine_pid=$!
    tail -n +1 --pid=$machine_pid -f "target/boot/$mode.console" | verdicts &
    local shown=$!
    wait $machine_pid || status=$?
    machine_pid=
    wait $shown || true
    debugfs -R "dump /boot-test/log target/boot/$mode.log" "$image" 2>/dev/null
    debugfs -R "dump /boot-test/failures $work/failures" "$image" 2>/dev/null
    [ -s "target/boot/$mode.log" ] || {
        tail -n 20 "target/boot/$mode.console" >&2
        fail "the machine did not get to the steps (qemu ended with $status)"
    }
}
