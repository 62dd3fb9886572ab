/* Rows of plain numbers in text, compiled: optional, see `rows.py`, which reads the same without
 * it, and whatever this leaves: it gives no answer where anything but numbers stands.
 */
#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>

/* Up to so many digits a number and a power of ten are exact, and so is their quotient's rounding
 * (Clinger, PLDI 1990); others are left to Python. */
enum { MAX_POWER = 22, MAX_CELL = 64 };
static const uint64_t EXACT = (uint64_t)1 << 53;
static const double POWERS[MAX_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                             1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                             1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static int is_digit(char c) { return c >= '0' && c <= '9'; }

/* Read a number, behind which another character stands; returns its end, NULL if it is none. */
static const char *number(const char *at, char decimal, double *value) {
    const char *start = at;
    int negative = *at == '-', digits = 0, power = 0, many = 0;
    uint64_t mantissa = 0;
    at += *at == '-' || *at == '+';
    for (int fraction = 0;; at++) {
        if (!fraction && *at == decimal) {
            fraction = 1;
            continue;
        }
        if (!is_digit(*at)) break;
        digits++;
        many |= mantissa >= (uint64_t)1e17;
        if (!many) mantissa = 10 * mantissa + (uint64_t)(*at - '0');
        power -= fraction;
    }
    if (!digits) return NULL;
    if (*at == 'e' || *at == 'E') {
        const char *from = at + 1 + (at[1] == '-' || at[1] == '+');
        int exponent = 0;
        if (!is_digit(*from)) return NULL;
        for (; is_digit(*from); from++)
            if (exponent < 10000) exponent = 10 * exponent + (*from - '0');
        power += at[1] == '-' ? -exponent : exponent;
        at = from;
    }
    if (many || mantissa > EXACT || power < -MAX_POWER || power > MAX_POWER) {
        char cell[MAX_CELL];
        if (at - start >= MAX_CELL) return NULL;
        for (int i = 0; i < at - start; i++) cell[i] = start[i] == decimal ? '.' : start[i];
        cell[at - start] = 0;
        *value = PyOS_string_to_double(cell, NULL, NULL);
        if (PyErr_Occurred()) return PyErr_Clear(), NULL;
        return isfinite(*value) ? at : NULL;
    }
    *value = power < 0 ? mantissa / POWERS[-power] : mantissa * POWERS[power];
    if (negative) *value = -*value;
    return at;
}

/* numbers(text, delimiter, decimal, columns) -> bytearray of float64 [rows, columns]: of whole
 * lines, one of them at least, empty cells NaN; None if they hold anything else. The delimiter "" is
 * blanks. */
static PyObject *numbers(PyObject *self, PyObject *args) {
    const char *at, *delimiters, *decimals;
    Py_ssize_t size, columns, lines = 1;
    if (!PyArg_ParseTuple(args, "s#ssn", &at, &size, &delimiters, &decimals, &columns)) return NULL;
    const char *end = at + size, delimiter = *delimiters, decimal = *decimals;
    for (const char *c = at; c < end; c++) lines += *c == '\n';
    PyObject *found = PyByteArray_FromStringAndSize(NULL, lines * columns * sizeof(double));
    if (!found) return NULL;
    double *values = (double *)PyByteArray_AsString(found);
    Py_ssize_t rows = 0;
    /* A NUL stands behind the text, so that nothing is read beyond. */
    while (at < end) {
        Py_ssize_t column = 0;
        for (;; column++) {
            while (*at == ' ' || (*at == '\t' && delimiter != '\t')) at++;
            if (*at == '\n' || at == end) break;
            if (column && delimiter) { /* it stands before each cell but the first */
                if (*at != delimiter) goto other;
                at++;
                while (*at == ' ' || (*at == '\t' && delimiter != '\t')) at++;
            }
            double value = NAN;
            if (*at != '\n' && at != end && !(delimiter && *at == delimiter)) {
                at = number(at, decimal, &value);
                if (!at) goto other;
                if (!delimiter && *at != ' ' && *at != '\t' && *at != '\n' && at != end) goto other;
            }
            if (column < columns) values[rows * columns + column] = value;
            else if (value == value) goto other; /* only empty cells may follow */
        }
        if (column < columns && column) goto other;
        if (!column && columns == 1) goto other; /* an empty line may be a sample */
        rows += column > 0;
        at += at < end;
    }
    if (!rows || PyByteArray_Resize(found, rows * columns * sizeof(double))) goto other;
    return found;
other:
    Py_DECREF(found);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef methods[] = {{"numbers", numbers, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static PyModuleDef_Slot slots[] = {{0, NULL}};
static PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT, .m_name = "parsed", .m_methods = methods, .m_slots = slots};

PyMODINIT_FUNC PyInit_parsed(void) { return PyModuleDef_Init(&definition); }
