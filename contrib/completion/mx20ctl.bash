# bash completion for mx20ctl(8).  Verbs and their options are read from its
# --help; domains, destinations and ids from what waits, if that may be seen.

# A line for each verb: its name, its options, the names of its arguments.
_mx20ctl_usage() {
	"$1" --help 2>/dev/null | awk '
	/^$/ && verbs > 0 { exit }
	/^  [a-z]/ { verbs++; line = substr($0, 3) }
	/^    [^ ]/ { line = substr($0, 5) }
	line != "" {
		if (i = index(line, "  "))
			line = substr(line, 1, i - 1)
		gsub(/[][|]/, " ", line)
		gsub(/[.][.][.]/, "", line)
		text[verbs] = text[verbs] " " line
		line = ""
	}
	END { for (i = 1; i <= verbs; i++) print text[i] }'
}

# What waits, a hundred at most: of the kind that the help calls so.
_mx20ctl_waits() {
	local kind=$1
	shift
	case $kind in
	ID) timeout 2 "$@" queue --json --limit 100 |
		grep -o '^{"id":"[^"]*' | cut -d'"' -f4 ;;
	DOMAIN) timeout 2 "$@" status --json |
		grep -o '{"domain":"[^"]*' | cut -d'"' -f4 | head -n 100 ;;
	NAME) timeout 2 "$@" status --json |
		grep -o '{"target":"[^"]*' | cut -d'"' -f4 | sort -u |
		head -n 100 ;;
	NODE) timeout 2 "$@" mirror --json |
		grep -o '"node":"[^"]*' | cut -d'"' -f4 | sort -u ;;
	esac 2>/dev/null
}

# With what stands before the last comma: several may be named.
_mx20ctl_more() {
	local before=
	[[ $1 != *,* ]] || before=${1%,*},
	shift
	printf "$before%s\n" "$@"
}

# The words that may follow those given (the program and what is complete), and
# begin like this.
_mx20ctl_next() {
	local cur=$1
	shift
	local -a ctl=("$1") line
	local verb= kind last=${!#}
	while (($# > 1)); do
		shift
		case $1 in
		-c | --config) ctl+=(-c "$2"); shift ;;
		--from | --to | --older | --state | --sort | --limit | \
			--client | --helo | --reason | --domain | \
			--destination | --since | --until | --size) shift ;;
		-*) ;;
		*) verb=${verb:-$1} ;;
		esac
	done
	case $last in
	--state) _mx20ctl_more "$cur" ready deferred held unsettled refused \
		delivered ;;
	--sort) echo arrival newest size due tries from ;;
	--since | --until) echo today yesterday ;;
	--domain) _mx20ctl_waits DOMAIN "${ctl[@]}" ;;
	--destination) _mx20ctl_waits NAME "${ctl[@]}" ;;
	--from | --to | --older | --limit | --client | --helo | --reason | --size) ;;
	*)
		echo --json --yes
		[[ -n $verb ]] || echo --config --help --version
		while read -r -a line; do
			[[ -n $verb ]] || echo "${line[0]}"
			[[ ${line[0]} == "$verb" ]] || continue
			for kind in "${line[@]:1}"; do
				case $kind in
				--* | [a-z]*) echo "$kind" ;;
				ID | DOMAIN | NODE) _mx20ctl_waits "$kind" "${ctl[@]}" ;;
				esac
			done
		done < <(_mx20ctl_usage "${ctl[0]}")
		;;
	esac
}

_mx20ctl() {
	# bash parts words at colons, which targets have
	local -a given
	read -r -a given <<<"${COMP_LINE:0:COMP_POINT}."
	local cur=${given[-1]%.} prefix=
	unset 'given[-1]'
	if [[ ${given[-1]} == -c || ${given[-1]} == --config ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	fi
	mapfile -t COMPREPLY < <(
		compgen -W "$(_mx20ctl_next "$cur" "${given[@]}")" -- "$cur")
	if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
		prefix=${cur%"${cur##*:}"}
		COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
	fi
}

complete -F _mx20ctl mx20ctl
