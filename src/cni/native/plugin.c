/*
 * The installed CNI plugin. It hands its environment and standard input to the
 * agent, prints the agent's answer and exits with the agent's exit code. The
 * agent applies all rules. Where the agent does not answer, this program runs
 * the executable in its place, which is a complete CNI plugin.
 *
 * src/cni/native_call.ts is the other end, and describes the messages.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
  INPUT_BYTES = 4 * 1024 * 1024, /* of stdin; the executable refuses more */
  CALL_BYTES = 1024 * 1024, /* of stdin; the executable takes more */
  OUTPUT_BYTES = 4 * 1024 * 1024, /* of stdout and stderr together */
  STDIN_MS = 10000,
  ACCEPT_MS = 2000, /* until the agent has accepted the call */
  RETRY_MS = 10
};

/* Messages from the agent, and to it. */
enum { RUN_EXECUTABLE = 0, ACCEPTED = 1, ANSWER = 2, PRINTED = 6 };

/* `cni install` finds the mark and writes both paths behind it. */
static const volatile struct {
  char mark[20];
  char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
  char executable[PATH_MAX];
} PATHS = {"stellar-net paths:\n", "/run/stellar-net/agent.sock", ""};

extern char **environ;

static char input[INPUT_BYTES + 1];
static char output[OUTPUT_BYTES];

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until a descriptor is ready. Returns 0 when the time is over. */
static int wait_for(int fd, short events, int64_t deadline) {
  for (;;) {
    struct pollfd wanted = {.fd = fd, .events = events};
    int64_t left = deadline - now_ms();
    int ready = poll(&wanted, 1, left < 0 ? 0 : (int)left);
    if (ready > 0) return 1;
    if (ready == 0 || errno != EINTR) return 0;
  }
}

/* Writes all bytes, blocking. Returns 0 on failure. */
static int write_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t count = write(fd, bytes, length);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      /* The caller may share a pipe that does not block. */
      struct pollfd writable = {.fd = fd, .events = POLLOUT};
      if (poll(&writable, 1, -1) >= 0 || errno == EINTR) continue;
    }
    if (count <= 0) return 0;
    bytes += count;
    length -= (size_t)count;
  }
  return 1;
}

/* Sends all bytes to the agent. Returns 0 when it is gone or the time is over. */
static int send_all(int fd, const char *bytes, size_t length, int64_t deadline) {
  while (length > 0) {
    ssize_t count = send(fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN && wait_for(fd, POLLOUT, deadline)) continue;
    if (count <= 0) return 0;
    bytes += count;
    length -= (size_t)count;
  }
  return 1;
}

/* Receives that many bytes. Returns 0 when the agent is gone or the time is over. */
static int receive(int fd, char *bytes, size_t length, int64_t deadline) {
  while (length > 0) {
    if (!wait_for(fd, POLLIN, deadline)) return 0;
    ssize_t count = recv(fd, bytes, length, MSG_DONTWAIT);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count <= 0) return 0;
    bytes += count;
    length -= (size_t)count;
  }
  return 1;
}

static uint32_t read_number(const char *bytes) {
  const unsigned char *digits = (const unsigned char *)bytes;
  return (uint32_t)digits[0] << 24 | (uint32_t)digits[1] << 16 |
         (uint32_t)digits[2] << 8 | digits[3];
}

static void write_number(char *bytes, size_t number) {
  for (int i = 0; i < 4; i++) bytes[i] = (char)(number >> (24 - 8 * i) & 0xff);
}

/* Whether the agent needs a variable: names of others may hold secrets. */
static int is_sent(const char *variable) {
  return strncmp(variable, "CNI_", 4) == 0 ||
         strncmp(variable, "STELLAR_NET_SOCKET=", 19) == 0;
}

/* Copies one of the installed paths, which the compiler must not assume. */
static void copy_path(char *to, const volatile char *from, size_t size) {
  size_t at = 0;
  for (; at + 1 < size && from[at] != '\0'; at++) to[at] = from[at];
  to[at] = '\0';
}

/* Connects to the agent. Returns -1 when that is impossible. */
static int dial(int64_t deadline) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  for (char **variable = environ; *variable != NULL; variable++) {
    if (strncmp(*variable, "STELLAR_NET_SOCKET=", 19) != 0) continue;
    const char *path = *variable + 19;
    if (strlen(path) >= sizeof(address.sun_path)) return -1;
    memcpy(address.sun_path, path, strlen(path));
    break;
  }
  if (address.sun_path[0] == '\0')
    copy_path(address.sun_path, PATHS.socket, sizeof(address.sun_path));
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  for (;;) {
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) return fd;
    /* EAGAIN: the agent's queue of connections is full. */
    if (errno != EINTR && (errno != EAGAIN || now_ms() >= deadline)) break;
    poll(NULL, 0, RETRY_MS);
  }
  close(fd);
  return -1;
}

/* Reads stdin to its end, or to one byte more than allowed. Returns -1 when it stays open. */
static ssize_t read_input(void) {
  int64_t deadline = now_ms() + STDIN_MS;
  size_t length = 0;
  while (length < sizeof(input)) {
    if (!wait_for(STDIN_FILENO, POLLIN, deadline)) return -1;
    ssize_t count = read(STDIN_FILENO, input + length, sizeof(input) - length);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count <= 0) break;
    length += (size_t)count;
  }
  return (ssize_t)length;
}

/* Sends the call: a head, the variables, each with a zero behind it, and stdin. */
static int send_call(int fd, size_t length, int64_t deadline) {
  char head[12] = "CNI1";
  size_t variables = 0;
  for (char **variable = environ; *variable != NULL; variable++)
    if (is_sent(*variable)) variables += strlen(*variable) + 1;
  write_number(head + 4, variables);
  write_number(head + 8, length);
  if (!send_all(fd, head, sizeof(head), deadline)) return 0;
  for (char **variable = environ; *variable != NULL; variable++)
    if (is_sent(*variable) &&
        !send_all(fd, *variable, strlen(*variable) + 1, deadline))
      return 0;
  return send_all(fd, input, length, deadline);
}

/* Calls the agent. Returns the exit code, or -1 when the executable is to run. */
static int call_agent(int fd, size_t length) {
  int64_t deadline = now_ms() + ACCEPT_MS;
  char head[13];
  if (!send_call(fd, length, deadline)) return -1;
  if (!receive(fd, head, 5, deadline) || head[0] != ACCEPTED) return -1;
  deadline = now_ms() + read_number(head + 1);
  if (!receive(fd, head, 1, deadline) || head[0] != ANSWER) return -1;
  if (!receive(fd, head, 12, deadline)) return -1;
  size_t out = read_number(head + 4), err = read_number(head + 8);
  if (out > sizeof(output) || err > sizeof(output) - out) return -1;
  if (!receive(fd, output, out + err, deadline)) return -1;
  write_all(STDERR_FILENO, output + out, err);
  /* Without this byte the agent undoes an ADD: nobody knows of the address. */
  if (!write_all(STDOUT_FILENO, output, out)) return 1;
  char printed = PRINTED;
  send_all(fd, &printed, 1, now_ms() + RETRY_MS);
  return (int)(read_number(head) & 0xff);
}

/* Gives the executable a stdin: what was read, or one that stays open. */
static int restore_input(ssize_t length) {
  int ends[2];
  if (length < 0) return pipe(ends) == 0 && dup2(ends[0], STDIN_FILENO) >= 0;
  int fd = memfd_create("stdin", MFD_CLOEXEC);
  return fd >= 0 && write_all(fd, input, (size_t)length) &&
         lseek(fd, 0, SEEK_SET) == 0 && dup2(fd, STDIN_FILENO) >= 0;
}

/* Runs the executable in place of this program. Returns only when it cannot. */
static void run_executable(char **argv) {
  char path[PATH_MAX];
  copy_path(path, PATHS.executable, sizeof(path));
  signal(SIGPIPE, SIG_DFL);
  argv[0] = path;
  execv(path, argv);
}

static int fail(void) {
  static const char error[] =
      "{\"cniVersion\":\"1.0.0\",\"code\":11,\"msg\":\"Cannot ask the agent of "
      "stellar-net, nor run the executable in its place; install the plugin "
      "again with \\\"stellar-net cni install\\\"\"}\n";
  write_all(STDOUT_FILENO, error, sizeof(error) - 1);
  return 1;
}

int main(int argc, char **argv) {
  const char *verb = NULL;
  for (char **variable = environ; *variable != NULL; variable++)
    if (strncmp(*variable, "CNI_COMMAND=", 12) == 0) verb = *variable + 12;
  /* Without a command it is the command line; VERSION needs no agent. */
  if (argc < 1 || verb == NULL || strcmp(verb, "VERSION") == 0) {
    char *none[] = {NULL, NULL};
    run_executable(argc < 1 ? none : argv);
    return fail();
  }
  signal(SIGPIPE, SIG_IGN);
  int fd = dial(now_ms() + ACCEPT_MS);
  if (fd >= 0) {
    ssize_t length = read_input();
    if (length >= 0 && length <= CALL_BYTES) {
      int code = call_agent(fd, (size_t)length);
      if (code >= 0) return code;
    }
    close(fd);
    if (!restore_input(length)) return fail();
  }
  run_executable(argv);
  return fail();
}
