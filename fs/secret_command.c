#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#include "fs/secret_int.h"

extern char **environ;

/*
 * Its errors go nowhere: what a command says may be the secret. A process
 * group of its own, so that whatever it starts can be ended with it.
 */
static int secret_spawn(const char *command, int out, pid_t *ret_pid)
{
	char sh[] = "sh";
	char c[] = "-c";
	char *const argv[] = {sh, c, strdup(command), NULL};
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t none, all;
	int r = argv[2] ? 0 : ENOMEM;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawn_file_actions_init(&fa);
	(void)posix_spawnattr_init(&at);
	r = r ? r
	      : posix_spawn_file_actions_addopen(
			&fa, 0, "/dev/null", O_RDONLY, 0);
	r = r ? r : posix_spawn_file_actions_adddup2(&fa, out, 1);
	r = r ? r
	      : posix_spawn_file_actions_addopen(
			&fa, 2, "/dev/null", O_WRONLY, 0);
	r = r ? r : posix_spawn_file_actions_addclosefrom_np(&fa, 3);
	r = r ? r
	      : posix_spawnattr_setflags(&at, POSIX_SPAWN_SETPGROUP |
						      POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETSIGDEF);
	r = r ? r : posix_spawnattr_setpgroup(&at, 0);
	r = r ? r : posix_spawnattr_setsigmask(&at, &none);
	r = r ? r : posix_spawnattr_setsigdefault(&at, &all);
	r = r ? r : posix_spawn(ret_pid, "/bin/sh", &fa, &at, argv, environ);
	(void)posix_spawnattr_destroy(&at);
	(void)posix_spawn_file_actions_destroy(&fa);
	free(argv[2]);
	return -r;
}

static int secret_left(uint64_t until_ms)
{
	const uint64_t now = clock_mono_ms(clock_system());

	return now >= until_ms ? 0 : (int)(until_ms - now);
}

/* Until the other end is closed: 0, -ETIMEDOUT, -E2BIG or what read said. */
static int secret_drain(int fd, uint64_t until_ms, struct secret_room *room)
{
	for (;;) {
		struct pollfd p = {fd, POLLIN, 0};
		ssize_t n;

		if (secret_left(until_ms) == 0)
			return -ETIMEDOUT;
		if (poll(&p, 1, secret_left(until_ms)) <= 0)
			continue;
		n = read(
			fd, room->data + room->len, SECRET_MAX + 1 - room->len);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			room->len += (size_t)n;
		if (room->len > SECRET_MAX)
			return -E2BIG;
	}
}

/* Its exit status, ending it when the time is over. */
static int secret_reap(pid_t pid, uint64_t until_ms, int *ret_status)
{
	const struct timespec nap = {0, 5000000};
	pid_t got;

	for (;;) {
		got = waitpid(pid, ret_status, WNOHANG);
		if (got == pid)
			return 0;
		if (got < 0 && errno != EINTR)
			return -errno;
		if (secret_left(until_ms) == 0)
			break;
		(void)nanosleep(&nap, NULL);
	}
	(void)kill(-pid, SIGKILL);
	while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
		;
	return -ETIMEDOUT;
}

static int secret_told(
	int r, int status, unsigned timeout_ms, struct pluri_err *err)
{
	if (r == -ETIMEDOUT)
		return pluri_fail(err, ETIMEDOUT,
			"the command did not end within %u s",
			timeout_ms / 1000);
	if (r == -E2BIG)
		return pluri_fail(err, EINVAL,
			"the command wrote more than %u bytes", SECRET_MAX);
	if (r < 0)
		return pluri_fail(
			err, -r, "the command's output: %s", strerror(-r));
	if (WIFSIGNALED(status))
		return pluri_fail(err, EACCES,
			"the command was ended by signal %d; run it by hand "
			"to see why",
			WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return pluri_fail(err, EACCES,
			"the command failed with exit status %d; run it by "
			"hand to see why",
			WEXITSTATUS(status));
	return 0;
}

int secret_command_read(const char *command, unsigned timeout_ms,
	struct secret_room *room, struct pluri_err *err)
{
	const uint64_t until = clock_mono_ms(clock_system()) + timeout_ms;
	int status = 0;
	int fd[2];
	pid_t pid = 0;
	int r, w;

	if (pipe2(fd, O_CLOEXEC) < 0)
		return pluri_fail(err, errno, "no pipe: %s", strerror(errno));
	r = secret_spawn(command, fd[1], &pid);
	(void)close(fd[1]);
	if (r < 0) {
		(void)close(fd[0]);
		return pluri_fail(
			err, -r, "/bin/sh cannot be started: %s", strerror(-r));
	}
	r = secret_drain(fd[0], until, room);
	(void)close(fd[0]);
	if (r < 0)
		(void)kill(-pid, SIGKILL);
	w = secret_reap(pid, until, &status);
	return secret_told(r ? r : w, status, timeout_ms, err);
}
