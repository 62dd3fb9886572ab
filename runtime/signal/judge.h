/* Whether anything is wrong with a second, and its signal less its hum: `quality.py`, `hum.py`. No limit stands
 * here.
 */
enum { RATE = 60 };

static double middle(double *values, int count) {
    for (int i = 1; i < count; i++) {
        double value = values[i];
        int at = i;
        for (; at > 0 && values[at - 1] > value; at--) values[at] = values[at - 1];
        values[at] = value;
    }
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

enum { MAX_TENTH = 128 };
typedef struct {
    double few, flat_mv, baseline_mv, rail_mv, jump_mv, hum_mv;
} Plain;

/* True if nothing is wrong with a second: `quality._plainly_good`. */
static int plainly_good(const float *row, int size, const double (*waves)[4], const Plain *limits,
                        double swing, double low, double high) {
    int lower = 0, upper = 0, humming = 0;
    if (size < limits->few || !(limits->flat_mv <= swing && swing <= limits->baseline_mv)) return 0;
    for (int i = 0; i < size; i++) {
        lower += row[i] - low <= limits->rail_mv;
        upper += high - row[i] <= limits->rail_mv;
    }
    if (lower >= limits->few || upper >= limits->few) return 0;
    if (swing > limits->jump_mv)
        for (int i = 1; i < size; i++)
            if (fabs((double)row[i] - row[i - 1]) > limits->jump_mv) return 0;
    for (int part = 0; part < 10; part++) {
        int any = 0;
        for (int k = 0; k < 4; k++) any |= fabs(waves[part][k]) > limits->hum_mv;
        humming += any;
    }
    return 2 * humming < 10;
}

enum { TENTHS = 10, MAINS = 4 };

/* Waves of mains in each tenth of a second. */
WIDE static void waves_in(const float *row, int tenth, const double *mains, double (*waves)[MAINS]) {
    for (int part = 0; part < TENTHS; part++)
        for (int i = 0; i < tenth; i++)
            for (int k = 0; k < MAINS; k++) waves[part][k] += row[part * tenth + i] * mains[MAINS * i + k];
}

/* Judge a second: its extremes join those so far, and its signal less its hum is filled in at 60 Hz. True
 * if it is plainly good. */
static int judge_second(const float *row, int tenth, const double *mains, const Plain *limits, double *low,
                        double *high, float *at_60hz) {
    double waves[TENTHS][MAINS] = {{0}}, usual[MAINS], hum[MAX_TENTH], one[TENTHS];
    float least = row[0], most = row[0];
    int second = TENTHS * tenth, each = second / RATE;
    for (int i = 1; i < second; i++) {
        least = row[i] < least ? row[i] : least;
        most = row[i] > most ? row[i] : most;
    }
    *low = least < *low ? least : *low;
    *high = most > *high ? most : *high;
    waves_in(row, tenth, mains, waves);
    for (int k = 0; k < MAINS; k++) {
        for (int part = 0; part < TENTHS; part++) one[part] = waves[part][k];
        usual[k] = middle(one, TENTHS);
    }
    for (int i = 0; i < tenth; i++) {
        hum[i] = 0;
        for (int k = 0; k < MAINS; k++) hum[i] += usual[k] * mains[MAINS * i + k];
        hum[i] *= tenth / 2.0;
    }
    for (int out = 0, i = 0, in_tenth = 0; out < RATE; out++) {
        float sum = 0;
        for (int k = 0; k < each; k++, i++, in_tenth++) sum += (float)(row[i] - hum[in_tenth]);
        at_60hz[out] = sum / each;
        if (in_tenth == tenth) in_tenth = 0; /* a tenth holds whole outputs */
    }
    return plainly_good(row, second, (const double (*)[MAINS])waves, limits, (double)most - least, *low, *high);
}
