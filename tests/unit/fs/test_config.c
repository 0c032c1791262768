#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/config.h"

#define VOLUME "[volume]\nname = v\nstate = /s\n"
#define STORE "[store \"a\"]\nbackend = local\nurl = /a\n"
#define TWO VOLUME STORE "[store \"b\"]\nbackend = local\nurl = /b\n"

static struct config *parse(const char *text)
{
	struct config *c = NULL;
	struct pluri_err err = {0};

	if (config_parse("/etc/x.ini", text, strlen(text), &c, &err) < 0)
		fail_msg("%s", err.text);
	return c;
}

/* The text is refused, and the story holds what is wanted. */
static void refuse(const char *text, const char *want)
{
	struct config *c = NULL;
	struct pluri_err err = {0};

	assert_true(config_parse("x.ini", text, strlen(text), &c, &err) < 0);
	assert_null(c);
	if (!strstr(err.text, want))
		fail_msg("wanted \"%s\" in \"%s\"", want, err.text);
}

static void parse__example_of_the_design__every_field(void **state)
{
	pluri_auto(config) c = parse(
		"[volume]\n"
		"name = photos\n"
		"state = /var/lib/p   ; database, packs, socket\n"
		"cache = 10G\t; bound\n"
		"key = file:/etc/p.key\n"
		"dirty = 64M\nmemory_cache = 32M\ntimeout = 500ms\n"
		"repack = 75%\nrepack_rate = 1M\nrepack_age = 2h\n"
		"merge_rate = 0\nkeep_deleted = 0s\n"
		"\n[store \"aws\"] ; a comment\n"
		"  backend = s3\n"
		"\turl = https://s3.example/b/p\n"
		"region = eu-central-1\ncredentials = file:/etc/aws.cred\n"
		"provider = aws inc\ncountry = DE\nweight = 2\nquota = 500G\n"
		"connections = 8\nbandwidth = 25M\n"
		"path_style = yes\n"
		"[store \"nas\"]\r\nbackend = local\r\nurl = /srv/nas\r\n"
		"# a comment\n"
		"[policy \"cold\"]\nlayout = erasure:1+1\nstores = nas aws\n"
		"min_providers = 2\ndurability = cloud\nchunking = fixed\n"
		"compression = zstd:9\npack = 64M\npack_age = 2m\n");
	const struct config_policy *p = &c->policy[1];

	(void)state;
	assert_string_equal(c->name, "photos");
	assert_string_equal(c->state, "/var/lib/p");
	assert_true(c->cache == 10ull << 30);
	assert_string_equal(c->key, "file:/etc/p.key");
	assert_true(c->dirty == 64u << 20 && c->memory == 32u << 20);
	assert_int_equal(c->timeout_ms, 500);
	assert_int_equal(c->repack_percent, 75);
	assert_true(c->repack_rate == 1u << 20 && c->merge_rate == 0);
	assert_int_equal(c->repack_age_ms, 7200000);
	assert_int_equal(c->keep_deleted_ms, 0);
	assert_int_equal(c->stores, 2);
	assert_string_equal(c->store[0].provider, "aws inc");
	assert_string_equal(c->store[0].url, "https://s3.example/b/p");
	assert_int_equal(c->store[0].weight, 2);
	assert_true(c->store[0].quota == 500ull << 30);
	assert_int_equal(c->store[0].connections, 8);
	assert_true(c->store[0].bandwidth == 25u << 20);
	assert_int_equal(c->store[1].connections, 0);
	assert_true(c->store[1].bandwidth == 0);
	assert_int_equal(c->store[0].options, 1);
	assert_string_equal(c->store[0].option[0].name, "path_style");
	assert_string_equal(c->store[0].option[0].value, "yes");
	assert_int_equal(c->store[1].line, 27);
	assert_string_equal(c->store[1].url, "/srv/nas");
	assert_string_equal(c->store[1].provider, "nas");
	assert_int_equal(c->policies, 2);
	assert_string_equal(p->layout, "erasure:1+1");
	assert_string_equal(p->store[0], "nas");
	assert_int_equal(p->stores, 2);
	assert_int_equal(p->min_providers, 2);
	assert_int_equal(p->durability, DURABILITY_CLOUD);
	assert_false(p->cdc);
	assert_true(p->compress && p->level == 9);
	assert_true(p->pack == 64u << 20 && p->pack_age_ms == 120000);
}

static void parse__no_policy__default_of_two_copies(void **state)
{
	pluri_auto(config) c = parse(TWO);

	(void)state;
	assert_int_equal(c->policies, 1);
	assert_string_equal(c->policy[0].name, "default");
	assert_string_equal(c->policy[0].layout, "mirror:2");
	assert_int_equal(c->policy[0].stores, 0);
	assert_true(c->policy[0].compress && c->policy[0].level == 3);
	assert_true(c->policy[0].pack == 16u << 20);
	assert_int_equal(c->policy[0].pack_age_ms, 5000);
}

static void parse__one_store__default_of_one_copy(void **state)
{
	pluri_auto(config) c = parse(VOLUME STORE);

	(void)state;
	assert_string_equal(c->policy[0].layout, "mirror:1");
}

static void parse__default_policy_written_last__is_first(void **state)
{
	pluri_auto(config) c = parse(TWO "[policy \"z\"]\nstores = b\n"
					 "[policy \"default\"]\npack = 2M\n");

	(void)state;
	assert_int_equal(c->policies, 2);
	assert_string_equal(c->policy[0].name, "default");
	assert_true(c->policy[0].pack == 2u << 20);
	assert_string_equal(c->policy[1].layout, "mirror:1");
}

static void parse__relative_paths__below_the_ini(void **state)
{
	pluri_auto(config) c = parse("[volume]\nname = v\nstate = ./st\n"
				     "key = file:k\n[store \"a\"]\n"
				     "backend = local\nurl = clouds/a\n"
				     "credentials = file:c\n");

	(void)state;
	assert_string_equal(c->state, "/etc/st");
	assert_string_equal(c->key, "file:/etc/k");
	assert_string_equal(c->store[0].url, "/etc/clouds/a");
	assert_string_equal(c->store[0].credentials, "file:/etc/c");
}

static void parse__state_said__key_beside_it(void **state)
{
	pluri_auto(config) c = parse(VOLUME STORE);

	(void)state;
	assert_string_equal(c->key, "file:/s/volume.key");
}

static void parse__form_is_wrong__file_and_line(void **state)
{
	(void)state;
	refuse("a = 1\n", "x.ini:1: key \"a\" stands before");
	refuse("[volume]\nname = v\nnonsense\n", "x.ini:3: neither");
	refuse("[volume]\n[volume]\n", "x.ini:2: [volume] is there twice");
	refuse(VOLUME STORE STORE, "x.ini:7: [store \"a\"] is there twice");
	refuse(VOLUME "[policy \"p\"]\n[policy \"p\"]\n", "x.ini:5: [policy");
	refuse(VOLUME "[policy \"default\"]\n[policy \"default\"]\n",
		"x.ini:5: [policy");
	refuse("[volume]\nname = v\nname = w\n", "x.ini:3: key \"name\"");
	refuse(VOLUME "[store \"a]\n", "x.ini:4: the section's name has no");
	refuse(VOLUME "[store \"a\"\n", "x.ini:4: not a section");
	refuse(VOLUME "[store a]\n", "x.ini:4: not a section");
	refuse(VOLUME "[store]\n", "x.ini:4: a store has a name");
	refuse(VOLUME "[store \"a\"] x\n", "x.ini:4: not a section");
	refuse("[volume \"x\"]\n", "x.ini:1: [volume] takes no name");
	refuse(VOLUME "[store \"A b\"]\n", "x.ini:4: store: \"A b\"");
	refuse(VOLUME "[store \"../x\"]\n", "x.ini:4: store: \"../x\"");
	refuse(VOLUME "[store \"..\"]\n", "x.ini:4: store: \"..\"");
	refuse(VOLUME STORE "option =;x\n", "x.ini:7: option: a value");
	refuse(VOLUME STORE "option = #x\n", "x.ini:7: option: a value");
	refuse("[volume]\nname = v # hi\n", "x.ini:2: a comment behind");
}

static void parse__name_is_misspelt__nearest_one(void **state)
{
	(void)state;
	refuse(VOLUME "[stor \"a\"]\n", "did you mean \"store\"?");
	refuse("[volume]\nnmae = v\n", "x.ini:2: unknown key \"nmae\"; did "
				       "you mean \"name\"?");
	refuse(VOLUME STORE "wieght = 2\n", "x.ini:7: unknown key \"wieght\"; "
					    "did you mean \"weight\"?");
	refuse(VOLUME STORE "[policy \"p\"]\nlayuot = mirror:2\n",
		"x.ini:8: unknown key \"layuot\"; did you mean \"layout\"?");
	refuse(TWO "[policy \"p\"]\n\nstores = a bb\n",
		"x.ini:12: stores: policy \"p\" names store \"bb\"");
	refuse(TWO "[policy \"p\"]\ndurability = clod\n",
		"did you mean \"cloud\"?");
	refuse(TWO "[policy \"p\"]\nlayout = miror:2\n",
		"did you mean \"mirror\"?");
}

static void parse__value_is_wrong__line_and_key(void **state)
{
	(void)state;
	refuse("[volume]\nname = V\n", "x.ini:2: name: \"V\" is not a name");
	refuse("[volume]\ncache = lots\n", "x.ini:2: cache: \"lots\"");
	refuse("[volume]\ndirty = 1K\n", "x.ini:2: dirty: \"1K\" is out of");
	refuse("[volume]\ntimeout = 10\n", "x.ini:2: timeout: \"10\" is not a");
	refuse("[volume]\ntimeout = 99h\n", "out of bounds");
	refuse("[volume]\nrepack = 91%\n", "x.ini:2: repack: \"91%\" is not");
	refuse("[volume]\nrepack = 50\n", "x.ini:2: repack: \"50\" is not");
	refuse("[volume]\nrepack = -1%\n", "x.ini:2: repack");
	refuse("[volume]\nrepack = 1e1%\n", "x.ini:2: repack");
	refuse("[volume]\nrepack =\n", "x.ini:2: repack");
	refuse("[volume]\nrepack_rate = 1K\n", "x.ini:2: repack_rate");
	refuse("[volume]\nmerge_rate = 1K\n", "x.ini:2: merge_rate");
	refuse("[volume]\nrepack_age = 99999h\n", "x.ini:2: repack_age");
	refuse("[volume]\ntimeout = 99999999999999999999s\n", "x.ini:2");
	refuse(VOLUME STORE "weight = 0\n", "x.ini:7: weight: 0 is below");
	refuse(VOLUME STORE "weight = 65536\n", "x.ini:7: weight: 65536");
	refuse(VOLUME STORE "quota = -1\n", "x.ini:7: quota:");
	refuse(VOLUME STORE "connections = 0\n", "x.ini:7: connections: 0 is");
	refuse(VOLUME STORE "connections = 65\n", "x.ini:7: connections: 65");
	refuse(VOLUME STORE "bandwidth = 1K\n", "x.ini:7: bandwidth: \"1K\"");
	refuse(TWO "[policy \"p\"]\nmin_providers = 0\n", "below the least");
	refuse(TWO "[policy \"p\"]\ndedup = yes\n",
		"x.ini:11: dedup: \"yes\" is not one of on, verify, off");
	refuse(TWO "[policy \"p\"]\ncompression = zstd:20\n", "zstd level");
	refuse(TWO "[policy \"p\"]\ncompression = zstd:N\n", "for N");
	refuse(TWO "[policy \"p\"]\nlayout = mirror\n", "not a layout");
	refuse(TWO "[policy \"p\"]\npack = 2G\n", "x.ini:11: pack:");
	refuse(TWO "[policy \"p\"]\nstores = a a\n", "named twice");
	refuse(TWO "[policy \"p\"]\nstores =\n", "no store is named");
}

static void parse__secret_in_the_file__refused_and_not_shown(void **state)
{
	const char text[] = VOLUME STORE "credentials = hunter2\n";
	struct config *c = NULL;
	struct pluri_err err = {0};

	(void)state;
	assert_int_equal(
		config_parse("x.ini", text, strlen(text), &c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "x.ini:7: credentials:"));
	assert_null(strstr(err.text, "hunter2"));
}

static void parse__something_is_missing__says_what(void **state)
{
	(void)state;
	refuse("", "no [volume]");
	refuse("[volume]\nstate = /s\n" STORE, "no name");
	refuse(VOLUME, "no store");
	refuse(VOLUME "\n[store \"a\"]\nurl = /a\n", "x.ini:5: store \"a\" has "
						     "no backend");
	refuse(VOLUME "[store \"a\"]\nbackend = local\n", "x.ini:4: store \"a\""
							  " has no url");
}

static void parse__bytes_are_not_text__refused(void **state)
{
	static const char nul[] = "[volume]\nname = a\0b\n";
	struct config *c = NULL;
	struct pluri_err err = {0};

	(void)state;
	refuse("[volume]\nname = \xff\n", "x.ini:2: byte 0xff at column 8");
	refuse("[volume]\nname = \xc0\x80\n", "x.ini:2: byte 0xc0");
	refuse("[volume]\nname = \xed\xa0\x80\n", "x.ini:2: byte 0xed");
	refuse("[volume]\nname = \x1b[0m\n", "x.ini:2: byte 0x1b");
	assert_int_equal(
		config_parse("x.ini", nul, sizeof(nul) - 1, &c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "x.ini:2: byte 0x00"));
}

static void parse__utf8_and_bom__taken(void **state)
{
	pluri_auto(config) c =
		parse("\xef\xbb\xbf" VOLUME STORE "country = \xed\x95\x9c\n");

	(void)state;
	assert_string_equal(c->store[0].country, "\xed\x95\x9c");
}

static void parse__value_at_the_limit__taken_and_one_more_refused(void **state)
{
	char text[4096];
	struct config *c = NULL;
	struct pluri_err err = {0};
	const size_t n = (size_t)sprintf(text, VOLUME STORE "option = ");

	(void)state;
	memset(text + n, 'x', CONFIG_VALUE_MAX);
	strcpy(text + n + CONFIG_VALUE_MAX, "\n");
	c = parse(text);
	assert_int_equal(strlen(c->store[0].option[0].value), CONFIG_VALUE_MAX);
	config_free(c);
	strcpy(text + n + CONFIG_VALUE_MAX, "x\n");
	refuse(text, "x.ini:7: the value of option is 1025 bytes");
	memset(text + n, 'x', 3000);
	strcpy(text + n + 3000, "\n");
	refuse(text, "x.ini:7: the line is");
	assert_true(config_parse("x", text, CONFIG_FILE_MAX + 1, &c, &err) < 0);
	assert_non_null(strstr(err.text, "larger than the limit"));
}

static void parse__too_many_of_a_kind__refused(void **state)
{
	char *text = calloc(1, 65536);
	size_t n = (size_t)sprintf(text, VOLUME);

	(void)state;
	for (unsigned i = 0; i <= PLURI_STORES_MAX; i++)
		n += (size_t)sprintf(text + n,
			"[store \"s%u\"]\nbackend = local\nurl = /a\n", i);
	refuse(text, "x.ini:196: one store too many");
	n = (size_t)sprintf(text, VOLUME STORE);
	for (unsigned i = 0; i <= CONFIG_OPTIONS_MAX; i++)
		n += (size_t)sprintf(text + n, "option%u = 1\n", i);
	refuse(text, "x.ini:39: \"option32\" is one key too many");
	n = (size_t)sprintf(text, VOLUME STORE);
	for (unsigned i = 0; i < PLURI_POLICIES_MAX; i++)
		n += (size_t)sprintf(text + n, "[policy \"p%u\"]\n", i);
	refuse(text, "x.ini:70: one policy too many");
	free(text);
}

static void store_text__and_back__same_store(void **state)
{
	pluri_auto(config) c = parse(VOLUME STORE
		"zeta = 1\nconnections = 2\nbandwidth = 1M\n"
		"alpha =\nquota = 1K\nprovider = p\nweight = 3\n"
		"credentials = command:pass show \"x\" # y\ncountry = KR\n");
	struct config_store *back = calloc(1, sizeof(*back));
	struct pluri_err err = {0};
	char text[8192];
	char again[8192];

	(void)state;
	assert_int_equal(
		config_store_text(&c->store[0], text, sizeof(text)), 0);
	assert_string_equal(text,
		"backend = local\nbandwidth = 1048576\nconnections = 2\n"
		"country = KR\n"
		"credentials = command:pass show \"x\" # y\nprovider = p\n"
		"quota = 1024\nurl = /a\nweight = 3\nalpha = \nzeta = 1\n");
	if (config_store_parse("a", text, back, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(config_store_text(back, again, sizeof(again)), 0);
	assert_string_equal(text, again);
	assert_int_equal(back->options, 2);
	assert_int_equal(config_store_text(back, again, strlen(text)), -ERANGE);
	assert_int_equal(config_store_text(back, again, 9), -ERANGE);
	free(back);
}

static void policy_text__and_back__same_policy(void **state)
{
	pluri_auto(config) c = parse(
		TWO "[policy \"p\"]\nstores = b a\n"
		    "compression = off\nchunking = fixed\npack = 3M\n"
		    "pack_age = 1s\ndurability = cloud\nmin_providers = 2\n"
		    "dedup = verify\n");
	struct config_policy *back = calloc(1, sizeof(*back));
	char text[8192];
	char again[8192];

	(void)state;
	assert_int_equal(
		config_policy_text(&c->policy[1], text, sizeof(text)), 0);
	assert_string_equal(text,
		"chunking = fixed\ncompression = off\ndedup = verify\n"
		"durability = cloud\nlayout = mirror:2\nmin_providers = 2\n"
		"pack = 3145728\npack_age = 1000ms\nstores = a b\n");
	assert_int_equal(config_policy_parse("p", text, back, NULL), 0);
	assert_int_equal(config_policy_text(back, again, sizeof(again)), 0);
	assert_string_equal(text, again);
	free(back);
}

static void policy_text__defaults__layout_alone(void **state)
{
	pluri_auto(config) c = parse(TWO);
	char text[256];

	(void)state;
	assert_int_equal(
		config_policy_text(&c->policy[0], text, sizeof(text)), 0);
	assert_string_equal(text, "layout = mirror:2\n");
}

static void stored_text__damaged__refused_and_untouched(void **state)
{
	struct config_store *s = calloc(1, sizeof(*s));

	(void)state;
	assert_true(config_store_parse("a", "backend = x\n", s, NULL) < 0);
	assert_true(config_store_parse("a", "[store \"b\"]\n", s, NULL) < 0);
	assert_true(config_store_parse(
			    "../a", "backend = x\nurl = /\n", s, NULL) < 0);
	assert_true(config_policy_parse("p", "pack = 1\n",
			    (struct config_policy *)s, NULL) < 0);
	assert_int_equal(s->name[0], 0);
	free(s);
}

static void load__bare_name__found_and_absolute(void **state)
{
	char dir[] = "/tmp/pluri-config-XXXXXX";
	char file[64];
	struct config *c = NULL;
	struct pluri_err err = {0};
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(file, sizeof(file), "%s/some.ini", dir);
	assert_int_equal(setenv("PLURI_CONFIG_DIR", dir, 1), 0);
	assert_int_equal(config_load("some", &c, &err), -ENOENT);
	assert_non_null(strstr(err.text, file));
	assert_non_null(strstr(err.text, "/etc/plurifs/some.ini"));
	f = fopen(file, "w");
	assert_non_null(f);
	(void)fputs(VOLUME STORE, f);
	(void)fclose(f);
	assert_int_equal(config_load("some", &c, &err), 0);
	assert_string_equal(c->file, file);
	config_free(c);
	c = NULL;
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(config_load("./some.ini", &c, &err), 0);
	assert_string_equal(c->file, file);
	config_free(c);
	assert_true(config_load("..", &c, &err) < 0);
	assert_true(config_load("/dev/null", &c, &err) < 0);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse__example_of_the_design__every_field),
		cmocka_unit_test(parse__no_policy__default_of_two_copies),
		cmocka_unit_test(parse__one_store__default_of_one_copy),
		cmocka_unit_test(parse__default_policy_written_last__is_first),
		cmocka_unit_test(parse__relative_paths__below_the_ini),
		cmocka_unit_test(parse__state_said__key_beside_it),
		cmocka_unit_test(parse__form_is_wrong__file_and_line),
		cmocka_unit_test(parse__name_is_misspelt__nearest_one),
		cmocka_unit_test(parse__value_is_wrong__line_and_key),
		cmocka_unit_test(
			parse__secret_in_the_file__refused_and_not_shown),
		cmocka_unit_test(parse__something_is_missing__says_what),
		cmocka_unit_test(parse__bytes_are_not_text__refused),
		cmocka_unit_test(parse__utf8_and_bom__taken),
		cmocka_unit_test(
			parse__value_at_the_limit__taken_and_one_more_refused),
		cmocka_unit_test(parse__too_many_of_a_kind__refused),
		cmocka_unit_test(store_text__and_back__same_store),
		cmocka_unit_test(policy_text__and_back__same_policy),
		cmocka_unit_test(policy_text__defaults__layout_alone),
		cmocka_unit_test(stored_text__damaged__refused_and_untouched),
		cmocka_unit_test(load__bare_name__found_and_absolute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
