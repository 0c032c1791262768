#include "base/text.h"
#include "fs/create.h"
#include "fs/secret.h"

#include "tools/args.h"
#include "tools/ask.h"
#include "tools/cmd.h"
#include "tools/show.h"

#define CMD_DIGITS (2 * PLURI_KEY_BYTES + 1)

static int cmd_json(
	const struct config *c, const struct create_report *r, const char *key)
{
	ask_auto_json o = json_pack("{s:s, s:s, s:s, s:b, s:[]}", "volume",
		c->name, "id", r->volume_id, "key", r->key_ref, "key_made",
		(int)r->key_made, "stores");

	for (unsigned i = 0; o && i < c->stores; i++) {
		json_t *s = json_pack("{s:s, s:s, s:s}", "name",
			c->store[i].name, "backend", c->store[i].backend, "url",
			c->store[i].url);

		if (json_array_append_new(json_object_get(o, "stores"), s) < 0)
			return 1;
	}
	if (key[0])
		(void)json_object_set_new(o, "key_digits", json_string(key));
	return o ? show_json(o) : 1;
}

static int cmd_kit(
	const struct config *c, const struct create_report *r, const char *key)
{
	static const char *const heads[] = {"STORE", "BACKEND", "URL", NULL};
	struct show_table t;

	(void)printf("volume %s is made\n\n"
		     "Recovery kit: keep this offline, apart from this "
		     "machine.\n"
		     "  volume   %s\n"
		     "  id       %s\n"
		     "  INI      %s\n"
		     "  key      %s (%s)\n",
		c->name, c->name, r->volume_id, c->file, r->key_ref,
		r->key_made ? "made now" : "was there");
	if (key[0])
		(void)printf("  digits   %s\n", key);
	(void)putchar('\n');
	show_table_start(&t, heads);
	for (unsigned i = 0; i < c->stores; i++) {
		show_table_cell(&t, "%s", c->store[i].name);
		show_table_cell(&t, "%s", c->store[i].backend);
		show_table_cell(&t, "%s", c->store[i].url);
	}
	if (show_table_end(&t) != 0)
		return 1;
	(void)printf("\nKeep a copy of the key offline%s.\nWithout it "
		     "nobody, neither you nor a provider, can read what the "
		     "clouds hold.\nWith it, this INI and the stores' "
		     "credentials, any machine can.\n",
		key[0] ? "" : " (--print-key shows it)");
	return 0;
}

/* The digits only when they were asked for. */
static int cmd_digits(
	const char *ref, char to[CMD_DIGITS], struct pluri_err *err)
{
	uint8_t key[PLURI_KEY_BYTES];
	int r;

	r = secret_key(ref, key, err);
	if (r == 0)
		(void)text_hex(key, sizeof(key), to);
	secret_wipe(key, sizeof(key));
	return r;
}

int cmd_create(int argc, char **argv)
{
	pluri_auto(config) c = NULL;
	struct create_report report = {.key_made = false};
	struct pluri_err err = {0};
	const char *volume = NULL;
	char key[CMD_DIGITS] = "";
	bool json = false;
	bool print = false;
	const struct args_option options[] = {ARGS_JSON(&json),
		{"--print-key", NULL, "show the key's digits in the kit",
			&print, NULL},
		{NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"create VOLUME [--print-key]",
		"Makes a volume from its INI: state directory, key, database "
		"and a descriptor on\nevery store. Prints the recovery kit.",
		options, &volume, 1, 1};
	int r = args_parse(&a, argc, argv);

	if (r)
		return r < 0;
	r = config_load(volume, &c, &err);
	if (r == 0)
		r = volume_create(c, &report, &err);
	if (r == 0 && print)
		r = cmd_digits(report.key_ref, key, &err);
	if (r < 0)
		return show_fail(&err);
	r = json ? cmd_json(c, &report, key) : cmd_kit(c, &report, key);
	secret_wipe(key, sizeof(key));
	return r;
}
