# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Completion of cnm for bash: commands and options as the help pages list them, and names as the
# daemon has them. Nothing is listed here that cnm can say itself.

# The command with the global options that were typed, so that its daemon is asked.
_cnm_run() {
	timeout 2 "${global[@]}" "$@" 2>/dev/null
}

_cnm_commands() {
	_cnm_run "$@" --help | sed -n '/Commands:$/,/^$/s/^  \([a-z]*\) .*/\1/p'
}

_cnm_options() {
	_cnm_run "$@" --help | grep -oE -- '--[a-z0-9-]+' | sort -u
}

_cnm_names() {
	_cnm_run "$1" ls --format '{{.Name}}'
}

_cnm_objects() {
	local group=$1 command=$2 nth=$3

	case $group/$command/$nth in
	network/inspect/* | network/rm/* | network/connect/0 | network/disconnect/0 | \
		endpoint/create/0) _cnm_names network ;;
	sandbox/inspect/* | sandbox/rm/* | sandbox/exec/0 | network/connect/1 | \
		network/disconnect/1 | endpoint/join/1) _cnm_names sandbox ;;
	endpoint/inspect/* | endpoint/rm/* | endpoint/join/0 | endpoint/leave/0)
		_cnm_run endpoint ls --format '{{.Network}}/{{.Name}}'
		;;
	esac
}

_cnm() {
	local cur=${COMP_WORDS[COMP_CWORD]} global=("${COMP_WORDS[0]}") words=() i word

	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if ((${#words[@]} == 0)) && [[ $word == -H || $word == --host || $word == --socket ]]; then
			global+=("$word" "${COMP_WORDS[++i]}")
		elif [[ $word != -* ]]; then
			words+=("$word")
		fi
	done
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_cnm_options "${words[@]:0:2}")" -- "$cur")
	elif ((${#words[@]} == 0)) || { ((${#words[@]} == 1)) &&
		[[ ${words[0]} =~ ^(network|sandbox|endpoint)$ ]]; }; then
		mapfile -t COMPREPLY < <(compgen -W "$(_cnm_commands "${words[@]}")" -- "$cur")
	elif ((${#words[@]} >= 2)); then
		mapfile -t COMPREPLY < <(compgen -W \
			"$(_cnm_objects "${words[0]}" "${words[1]}" $((${#words[@]} - 2)))" -- "$cur")
	fi
}

complete -F _cnm cnm
