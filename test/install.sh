#!/bin/sh
# Installs the programs that test/interop runs against Facteur, as far as this machine and user allow. What
# can't be had is no failure: its test is skipped and says so. Nothing here starts a service; the servers of
# the other tests are installed by test/debian, into private roots.
cd "$(dirname "$0")" || exit 1
export DEBIAN_FRONTEND=noninteractive

say() { echo "make test: $*"; }

# Program and package, where the program is missing.
packages=
missing() { command -v "$1" >/dev/null || packages="$packages $2"; }
missing swaks swaks
missing curl curl
missing msmtp msmtp
missing mbsync isync
missing neomutt neomutt
missing python3 python3
missing script bsdutils
# Debian's npm does not go with a node from elsewhere.
command -v node >/dev/null || missing npm "nodejs npm"

install() {
	apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 $packages </dev/null >/dev/null
}
if [ -n "$packages" ]; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		say "not root on Debian, so tests are skipped that need:$packages"
	elif ! install 2>/dev/null && ! { apt-get update -qq </dev/null && install; }; then
		say "apt-get could not install:$packages; the tests that need them are skipped"
	fi
fi

if ! command -v npm >/dev/null; then
	say "there is no npm, so the test with imapflow and nodemailer is skipped"
elif [ ! -d interop/node/node_modules/imapflow ]; then
	(cd interop/node && npm ci --silent --no-audit --no-fund </dev/null) || say "npm ci failed; the test with imapflow and nodemailer is skipped"
fi
exit 0
