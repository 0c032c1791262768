#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/daemon.h"

#define DAEMON_LOG_MAX (4 << 20)

static int daemon_log(const char *log, struct pluri_err *err)
{
	char old[4096];
	struct stat st;
	int fd;

	if (stat(log, &st) == 0 && st.st_size > DAEMON_LOG_MAX &&
		snprintf(old, sizeof(old), "%s.1", log) < (int)sizeof(old))
		(void)rename(log, old);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
		0600);
	if (fd < 0 && errno == ENOENT)
		return pluri_fail(err, ENOENT,
			"%s: there is no such directory: make the volume by "
			"pluri create first, or correct state in its INI",
			log);
	if (fd < 0)
		return pluri_fail(err, errno, "%s: %s", log, strerror(errno));
	return fd;
}

static int daemon_child(int log)
{
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* The parent does not stay; failing to tell it must not end us. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (null < 0 || setsid() < 0 || chdir("/") < 0 || dup2(null, 0) < 0 ||
		dup2(null, 1) < 0 || dup2(log, 2) < 0)
		return -errno;
	if (null > 2)
		(void)close(null);
	if (log > 2)
		(void)close(log);
	return 0;
}

pid_t daemon_fork(const char *log, int *ret_ready, struct pluri_err *err)
{
	const int fd = daemon_log(log, err);
	int ready[2];
	pid_t pid;

	if (fd < 0)
		return fd;
	if (pipe2(ready, O_CLOEXEC) < 0) {
		(void)close(fd);
		return pluri_fail(err, errno, "no pipe: %s", strerror(errno));
	}
	(void)fflush(NULL);
	pid = fork();
	if (pid != 0)
		(void)close(fd);
	if (pid < 0) {
		(void)close(ready[0]);
		(void)close(ready[1]);
		return pluri_fail(
			err, errno, "no new process: %s", strerror(errno));
	}
	(void)close(ready[pid ? 1 : 0]);
	*ret_ready = ready[pid ? 0 : 1];
	if (pid == 0 && daemon_child(fd) < 0) {
		struct pluri_err own;

		(void)pluri_fail(&own, errno, "cannot become a daemon: %s",
			strerror(errno));
		daemon_failed(*ret_ready, &own);
		_exit(1);
	}
	return pid;
}

void daemon_failed(int ready, const struct pluri_err *err)
{
	char text[PLURI_ERR_TEXT + 1];
	const int n = snprintf(text, sizeof(text), "\1%s", err->text);

	/* Nobody to tell when the parent has been ended meanwhile. */
	if (n > 0 && write(ready, text, (size_t)n) < 0)
		(void)fprintf(stderr, "pluri: %s\n", err->text);
	(void)close(ready);
}

int daemon_wait(int ready, pid_t child, const char *log, struct pluri_err *err)
{
	char text[PLURI_ERR_TEXT + 1];
	size_t len = 0;
	ssize_t n;

	do {
		n = read(ready, text + len, sizeof(text) - 1 - len);
		if (n > 0)
			len += (size_t)n;
	} while ((n > 0 && text[0] != 0) || (n < 0 && errno == EINTR));
	(void)close(ready);
	if (len > 0 && text[0] == 0)
		return 0;
	text[len] = 0;
	(void)waitpid(child, NULL, 0);
	if (len > 1)
		return pluri_fail(err, EIO, "%s", text + 1);
	return pluri_fail(err, EIO,
		"the daemon ended before it was ready; the last lines of %s "
		"may say why",
		log);
}
