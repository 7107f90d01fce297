# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Completion of cnmd for bash: options as its help lists them, and what they take where that is known.

_cnmd_values() {
	case $1 in
	--cluster-store) echo etcd:// consul:// zk:// ;;
	--cluster-advertise) ls /sys/class/net ;;
	--cluster-store-opt)
		echo {kv.{cacertfile,certfile,keyfile},discovery.{ttl,heartbeat},cnm.grace}=
		;;
	--log-level) echo error warn info debug ;;
	esac
}

_cnmd() {
	local cur=$2 values

	COMPREPLY=()
	values=$(_cnmd_values "$3")
	if [[ -z $values && $cur == -* ]]; then
		values=$(timeout 2 "$1" --help 2>/dev/null | grep '^  -' | grep -oE -- '--[a-z-]+')
	fi
	if [[ -n $values ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	fi
	if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]]; then
		compopt -o nospace
	fi
}

complete -F _cnmd cnmd
