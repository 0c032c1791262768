/*
 * tests/system/posix.h - what the POSIX checks share. Each case runs in an
 * empty directory of its own and returns the number of what went wrong.
 */
#ifndef PLURI_TESTS_SYSTEM_POSIX_H
#define PLURI_TESTS_SYSTEM_POSIX_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct posix_case {
	const char *text;
	int (*run)(void);
};

static int posix_wrong; /* in this case */

#define WANT(cond)                                                            \
	do {                                                                  \
		errno = 0;                                                    \
		if (!(cond)) {                                                \
			printf("# %s:%d: not so: %s (%s)\n", __FILE__,        \
				__LINE__, #cond, strerror(errno));            \
			posix_wrong++;                                        \
		}                                                             \
	} while (0)

/* The call fails, and with this errno. */
#define WANT_ERR(call, code)                                                  \
	do {                                                                  \
		errno = 0;                                                    \
		if ((call) >= 0 || errno != (code)) {                         \
			printf("# %s:%d: %s: %s, not %s\n", __FILE__,         \
				__LINE__, #call, strerror(errno),             \
				strerror(code));                              \
			posix_wrong++;                                        \
		}                                                             \
	} while (0)

/* posix_X DIR: TAP without a plan, which is the script's. */
static inline int posix_main(const char *dir, const struct posix_case *c)
{
	int failed = 0;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned n = 0; c[n].text; n++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "case%u", n);
		posix_wrong = 0;
		if (chdir(dir) < 0 || mkdir(name, 0755) < 0 ||
			chdir(name) < 0) {
			printf("# %s/%s: %s\n", dir, name, strerror(errno));
			return 2;
		}
		(void)c[n].run();
		printf("%s %s\n", posix_wrong ? "WRONG" : "RIGHT", c[n].text);
		failed += posix_wrong > 0;
	}
	return failed > 0;
}

#endif
