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

_cnm_containers() {
	_cnm_run ps "$@" --format '{{.Names}}'
}

_cnm_images() {
	_cnm_run images --format '{{.Repository}}:{{.Tag}}' | grep -v '<none>'
	_cnm_run images --format '{{.Repository}}' | grep -v '<none>'
}

# A command that stands alone is one of a group's.
_cnm_group_of() {
	case $1 in
	images | history | import | load | pull | rmi | save | tag) echo image ;;
	attach | create | exec | kill | logs | port | ps | rename | restart | rm | run | start | stop | top | wait)
		echo container
		;;
	esac
}

_cnm_objects() {
	local group=$1 command=$2 nth=$3

	case $group/$command/$nth in
	network/inspect/* | network/rm/* | network/connect/0 | network/disconnect/0 | \
		endpoint/create/0) _cnm_names network ;;
	network/connect/1 | network/disconnect/1)
		_cnm_containers -a
		_cnm_names sandbox
		;;
	sandbox/inspect/* | sandbox/rm/* | sandbox/exec/0 | endpoint/join/1) _cnm_names sandbox ;;
	node/inspect/* | node/rm/*) _cnm_names node | tr -d '*' ;; # a star marks the host itself
	endpoint/inspect/* | endpoint/rm/* | endpoint/join/0 | endpoint/leave/0)
		_cnm_run endpoint ls --format '{{.Network}}/{{.Name}}'
		;;
	container/run/0 | container/create/0 | image/inspect/* | image/rm/* | image/rmi/* | \
		image/save/* | image/tag/0 | image/history/0) _cnm_images ;;
	container/attach/0 | container/exec/0 | container/kill/* | container/port/0 | container/stop/* | \
		container/top/0)
		_cnm_containers
		;;
	container/inspect/* | container/logs/0 | container/rename/0 | container/restart/* | \
		container/rm/* | container/start/* | container/wait/*) _cnm_containers -a ;;
	volume/inspect/* | volume/rm/*) _cnm_names volume ;;
	esac
}

# The objects that a command of these words takes next.
_cnm_arguments() {
	local group

	group=$(_cnm_group_of "$1")
	if [[ $1 == inspect ]]; then
		_cnm_containers -a
		_cnm_images
		_cnm_names network
		_cnm_names volume
		_cnm_names sandbox
	elif [[ $1 == dns && $# -eq 1 ]]; then
		_cnm_containers
		_cnm_names sandbox
	elif [[ ($1 == why || $1 == trace) && $# -le 2 ]]; then
		_cnm_containers
		_cnm_names sandbox
		echo host
	elif [[ -n $group ]]; then
		_cnm_objects "$group" "$1" $(($# - 1))
	else
		_cnm_objects "$1" "$2" $(($# - 2))
	fi
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
		[[ -n $(_cnm_group_of "${words[0]-}") ]] && words=("${words[0]}")
		mapfile -t COMPREPLY < <(compgen -W "$(_cnm_options "${words[@]:0:2}")" -- "$cur")
	elif ((${#words[@]} == 0)) || { ((${#words[@]} == 1)) &&
		[[ ${words[0]} =~ ^(container|endpoint|image|network|node|plugin|sandbox|volume)$ ]]; }; then
		mapfile -t COMPREPLY < <(compgen -W "$(_cnm_commands "${words[@]}")" -- "$cur")
	else
		mapfile -t COMPREPLY < <(compgen -W "$(_cnm_arguments "${words[@]}")" -- "$cur")
	fi
}

complete -F _cnm cnm
