/*
 * fs/config.h - the INI: a volume's desired state, judged before anything is
 * touched.
 *
 * Every failure names file and line, what was expected, and the nearest known
 * name. Unknown sections and keys are failures, except keys of a store section
 * that its backend asks for by option() (they are kept, and a backend refuses
 * what it does not know: see config_store.used). Pure but for reading the
 * file. Confined.
 */
#ifndef PLURI_FS_CONFIG_H
#define PLURI_FS_CONFIG_H

#include <stdbool.h>

#include "base/err.h"
#include "base/own.h"
#include "base/types.h"

#define CONFIG_FILE_MAX (256u << 10)
#define CONFIG_VALUE_MAX 1024u
#define CONFIG_PATH_MAX 4096u
#define CONFIG_OPTIONS_MAX 32u

struct config_option {
	char name[PLURI_NAME_MAX + 1];
	char value[CONFIG_VALUE_MAX + 1];
};

struct config_store {
	char name[PLURI_NAME_MAX + 1]; /* [a-z0-9._-] */
	unsigned line;		       /* of its section, for messages */
	char backend[PLURI_NAME_MAX + 1];
	char url[CONFIG_VALUE_MAX + 1];
	char provider[PLURI_NAME_MAX + 1]; /* default: the store's name */
	char region[PLURI_NAME_MAX + 1];
	char country[PLURI_NAME_MAX + 1];
	char credentials[CONFIG_VALUE_MAX + 1]; /* a reference or "" */
	uint32_t weight;			/* 1..65535, default 1 */
	uint64_t quota;				/* bytes; 0: none */
	uint32_t connections; /* calls at once, 1..64; 0: not said */
	uint64_t bandwidth;   /* bytes/s each way; 0: no bound */
	unsigned options;			/* backend's own keys */
	struct config_option option[CONFIG_OPTIONS_MAX];
};

enum config_durability { DURABILITY_LOCAL, DURABILITY_CLOUD };
enum config_dedup { DEDUP_ON, DEDUP_VERIFY, DEDUP_OFF }; /* fs/dedup.h */

struct config_policy {
	char name[PLURI_NAME_MAX + 1];
	unsigned line;
	char layout[PLURI_NAME_MAX + 1]; /* "mirror:2", judged by volume.c */
	unsigned stores;		 /* 0: all */
	char store[PLURI_STORES_MAX][PLURI_NAME_MAX + 1];
	unsigned min_providers; /* 0: not said */
	enum config_durability durability;
	enum config_dedup dedup; /* on | verify | off */
	bool cdc;	/* chunking = cdc | fixed */
	bool compress;	/* compression = off | auto | zstd:N */
	int level;	/* 1..19; auto: 3 */
	uint64_t pack;	/* target bytes, 1M..1G, default 16M */
	uint32_t pack_age_ms; /* default 5000: `pack_age = 5s` */
};

struct config {
	char file[CONFIG_PATH_MAX]; /* as found */
	char name[PLURI_NAME_MAX + 1];
	char state[CONFIG_PATH_MAX]; /* absolute */
	char key[CONFIG_VALUE_MAX + 1]; /* reference: file: env: command: */
	uint64_t cache; /* bytes, default 10G */
	uint64_t dirty; /* `dirty = 64M`: bound of unflushed bytes in memory */
	uint64_t memory; /* `memory_cache = 128M`: decoded frames */
	uint32_t timeout_ms; /* `timeout = 10s`: of one cloud call */
	int repack_percent; /* `repack = 50%`: less live share; off: -1 */
	uint64_t repack_rate; /* `repack_rate = 8M`: bytes a second */
	uint32_t repack_age_ms; /* `repack_age = 10m`: younger packs wait */
	uint64_t merge_rate; /* `merge_rate = 8M`: bytes a second; 0: off */
	uint32_t keep_deleted_ms; /* `keep_deleted = 24h`: objects */
	unsigned stores, policies;
	struct config_store store[PLURI_STORES_MAX];
	struct config_policy policy[PLURI_POLICIES_MAX]; /* "default" first:
							    made when absent */
};

/*
 * volume: a path (has '/' or ends in ".ini") or a bare name, looked up as
 * NAME.ini in $PLURI_CONFIG_DIR, $XDG_CONFIG_HOME/plurifs (~/.config/plurifs),
 * /etc/plurifs. -ENOENT lists where it looked.
 *
 * Default state: root: /var/lib/pluri/NAME; others: $XDG_STATE_HOME/pluri/NAME
 * (~/.local/state/pluri/NAME). Default key: file:STATE/volume.key. Relative
 * paths are relative to the INI's directory.
 */
int config_load(const char *volume, struct config **ret,
	struct pluri_err *err);
void config_free(struct config *c);
PLURI_OWN(config);

/* The same from text; file is for messages and relative paths. Fuzzed. */
int config_parse(const char *file, const char *text, size_t len,
	struct config **ret, struct pluri_err *err);

/*
 * A section's canonical text: "key = value" lines, sorted, defaults left out;
 * what the database remembers of an applied store or policy.
 */
int config_store_text(const struct config_store *s, char *to, size_t cap);
int config_policy_text(const struct config_policy *p, char *to, size_t cap);
/* And back. The text is hostile, too: a database can be damaged. */
int config_store_parse(const char *name, const char *text,
	struct config_store *ret, struct pluri_err *err);
int config_policy_parse(const char *name, const char *text,
	struct config_policy *ret, struct pluri_err *err);

#endif
