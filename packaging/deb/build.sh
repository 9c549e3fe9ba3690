#!/bin/bash
# build.sh: makes dist/snapbe_VERSION_ARCH.deb from build/snapbe, which make
# has built, and lets dist/snapbe.deb point to it. It needs dpkg-deb alone, no
# root, and takes no time. The same commit gives the same package.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=$(packaging/version.sh)-1
arch=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH

root=build/deb
rm -rf "$root"
put() { install -D -m "$1" "$2" "$root$3"; }

put 755 build/snapbe /usr/sbin/snapbe
for unit in packaging/systemd/*.service packaging/systemd/*.timer; do
	put 644 "$unit" "/usr/lib/systemd/system/${unit##*/}"
done
for script in packaging/systemd/lib/*; do
	put 755 "$script" "/usr/lib/snapbe/${script##*/}"
done
put 644 packaging/systemd/systemd-nspawn@.service.d/snapbe.conf /usr/lib/systemd/system/systemd-nspawn@.service.d/snapbe.conf
put 755 bootloader/06_snapbe /etc/grub.d/06_snapbe
put 755 packaging/kernel/zzz-snapbe /etc/kernel/postinst.d/zzz-snapbe
put 755 packaging/kernel/zzz-snapbe /etc/kernel/postrm.d/zzz-snapbe
put 644 cmd/snapbe/snapbe.toml /etc/snapbe/snapbe.toml
install -d "$root/etc/snapbe/health.d"
put 644 synclist/debian.synclist /etc/snapbe/synclist
put 644 synclist/solaris.synclist /usr/share/doc/snapbe/examples/solaris.synclist
put 644 packaging/deb/copyright /usr/share/doc/snapbe/copyright
put 644 packaging/deb/lintian-overrides /usr/share/lintian/overrides/snapbe
for doc in README.md docs/*.md; do
	put 644 "$doc" "/usr/share/doc/snapbe/${doc#docs/}"
done
# There they lie beside it.
sed -i 's,](docs/\([a-z-]*\.md\),](\1,g; s,\[snapbe(8)\](docs/snapbe\.8),snapbe(8),g' "$root/usr/share/doc/snapbe/README.md"
put 644 synclist/debian.synclist /usr/share/doc/snapbe/examples/debian.synclist

put 644 docs/snapbe.8 /usr/share/man/man8/snapbe.8
put 644 CHANGELOG.md /usr/share/doc/snapbe/changelog
{
	echo "snapbe ($version) unstable; urgency=medium"
	echo
	echo "  * See changelog.gz for what has changed."
	echo
	echo " -- The snapbe authors <snapbe@localhost>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")"
} >"$root/usr/share/doc/snapbe/changelog.Debian"
gzip -9n "$root"/usr/share/man/man8/snapbe.8 "$root"/usr/share/doc/snapbe/changelog{,.Debian}

complete() {
	install -d "$(dirname "$root$2")"
	build/snapbe completion "$1" >"$root$2"
	chmod 644 "$root$2"
}
complete bash /usr/share/bash-completion/completions/snapbe
complete zsh /usr/share/zsh/vendor-completions/_snapbe
complete fish /usr/share/fish/vendor_completions.d/snapbe.fish

install -d "$root/DEBIAN"
size=$(du -k -s --apparent-size "$root" | cut -f 1)
sed "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$size/" packaging/deb/control.in >"$root/DEBIAN/control"
(cd "$root" && find etc -type f -printf '/%p\n' | sort >DEBIAN/conffiles)
(cd "$root" && find . -path ./DEBIAN -prune -o -path ./etc -prune -o -type f -printf '%P\0' |
	sort -z | xargs -0 md5sum >DEBIAN/md5sums)
for script in postinst prerm postrm; do
	install -m 755 "packaging/deb/$script" "$root/DEBIAN/$script"
done
install -m 644 packaging/deb/triggers "$root/DEBIAN/triggers"
find "$root" -type d -exec chmod 755 {} +
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

mkdir -p dist
deb=snapbe_${version}_${arch}.deb
rm -f dist/snapbe*.deb
dpkg-deb --root-owner-group -Zxz -z1 --build "$root" "dist/$deb" >&2
ln -s "$deb" dist/snapbe.deb
echo "dist/$deb"
