# A machine with nothing on it but systemd and what is judged, in namespaces of its own: as process 1, `machine.sh UNIT CONFIG BINARY CACHE LOG`.
# Started by starts.py with unshare; none of what it mounts is seen outside.
set -eu
unit=$1 config=$2 binary=$3 cache=$4 log=$5
mount --make-rprivate /
mount -t tmpfs none /mnt
cp -a /etc /mnt/etc
rm -rf /mnt/etc/systemd /mnt/etc/sluice
mkdir -p /mnt/etc/systemd/system/sluice.service.d /mnt/etc/sluice /mnt/bin
cp "$unit" /mnt/etc/systemd/system/sluice.service
cp "$config" /mnt/etc/sluice/sluice.json
printf '[Service]\nStandardOutput=append:%s\nStandardError=append:%s\n' "$log" "$log" > /mnt/etc/systemd/system/sluice.service.d/log.conf
printf '[Unit]\nWants=sluice.service\nDefaultDependencies=no\n' > /mnt/etc/systemd/system/judged.target
for target in sysinit basic network-online shutdown; do
    printf '[Unit]\nDefaultDependencies=no\n' > "/mnt/etc/systemd/system/$target.target"
done
touch "/mnt/bin/$(basename "$binary")"
mount --bind "$binary" "/mnt/bin/$(basename "$binary")"
mount --rbind /mnt/bin /usr/local/bin
mount --bind /mnt/etc /etc
# Nothing of this machine's own is started.
for none in /usr/lib/systemd/system /usr/lib/systemd/system-generators /var/lib /var/log /run; do mount -t tmpfs -o mode=755 none "$none"; done
mkdir -p /mnt/cache/private/sluice && cp -a "$cache/sluice" /mnt/cache/private/sluice/sluice && chmod 700 /mnt/cache/private
mount --bind /mnt/cache /var/cache
mkdir -p /run/systemd/system
mount -t cgroup2 none /sys/fs/cgroup
exec env -i container=judge PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=judged.target --log-target=console --show-status=no
