#include <errno.h>
#include <string.h>

#include "base/text.h"

#include "tools/args.h"
#include "tools/ask.h"
#include "tools/cmd.h"
#include "tools/show.h"

int cmd_cache(int argc, char **argv)
{
	ask_auto_json o = NULL;
	struct pluri_err err = {0};
	const char *words[2] = {NULL, NULL};
	bool json = false;
	const struct args_option options[] = {
		ARGS_JSON(&json), {NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"cache clear VOLUME",
		"Drops local packs that are whole in the clouds, and what is "
		"decoded in memory;\nall other packs are kept.",
		options, words, 2, 2};
	int r = args_parse(&a, argc, argv);
	char bytes[TEXT_SIZE_MAX];

	if (r)
		return r < 0;
	if (strcmp(words[0], "clear") != 0) {
		(void)pluri_fail(&err, EINVAL,
			"cache knows \"clear\" only, not \"%.80s\"", words[0]);
		return show_fail(&err);
	}
	if (ask_once(words[1], "cache-clear", NULL, &o, &err) < 0)
		return show_fail(&err);
	if (json)
		return show_json(o);
	(void)printf("dropped %llu packs, %s\n",
		(unsigned long long)show_uint(o, "dropped_packs"),
		show_size(o, "dropped_bytes", bytes));
	if (show_uint(o, "kept_packs"))
		show_line(stdout, "kept %llu packs, %s: %s",
			(unsigned long long)show_uint(o, "kept_packs"),
			show_size(o, "kept_bytes", bytes),
			show_text(o, "kept_why"));
	return 0;
}
