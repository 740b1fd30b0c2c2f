# Completion of janusctl for bash. What there is to complete it takes from `janusctl help`, so it fits the janusctl that it completes.

# Commands; or with one, its options and those that all have.
_janusctl_words() {
	"$1" help 2>/dev/null | awk -v wanted="$2" '
		/^  [a-z]/ { command = $1; if (wanted == "") print $1 }
		/^    --/ && wanted != "" && command == wanted { print $1 }
		/^  -/ { print $1 }'
}

_janusctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= word i
	local program=${COMP_WORDS[0]}

	COMPREPLY=()
	case $prev in
	-c | --key)
		compopt -o filenames 2>/dev/null
		COMPREPLY=($(compgen -f -- "$cur"))
		return
		;;
	--transport)
		COMPREPLY=($(compgen -W "flash packet http websocket sse json_lines page" -- "$cur"))
		return
		;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-c | -o) ((i++)) ;;
		-*) ;;
		*)
			command=$word
			break
			;;
		esac
	done
	if [[ -z $command || $cur == -* ]]; then
		COMPREPLY=($(compgen -W "$(_janusctl_words "$program" "$command")" -- "$cur"))
	elif [[ $command == client || $command == kick ]]; then
		COMPREPLY=($(compgen -W "$("${COMP_WORDS[@]:0:i}" clients --top 1000 2>/dev/null </dev/null | awk '/^[0-9]+\.[0-9]+\.[0-9a-f]+ /{ print $1 }')" -- "$cur"))
	fi
}

complete -F _janusctl janusctl
