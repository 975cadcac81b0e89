"""Oscillator fits against exact spectra, the Cramér–Rao bound and the twin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.sho import LEAST_QUALITY, MOST_QUALITY, fit_sho, optimum_rotation, piezoresponse, sho_response
from helpers.twin import measurement as twin

FREQUENCY_kHz = np.linspace(1300, 1350, 64)
NAMES = ("amplitude", "phase", "frequency", "quality")


def draw(n, seed):
    """Parameters (n,) of oscillators within the band: A, φ, ω₀ / 2π, Q."""
    rng = np.random.default_rng(seed)
    return (10 ** rng.uniform(-6, -4, n), rng.uniform(-np.pi, np.pi, n),
            rng.uniform(1308, 1342, n), rng.uniform(70, 400, n))


def errors(fit, truth):
    """Fitted less true parameters, phase differences wrapped, shape (4, n)."""
    found = np.array([getattr(fit, name) for name in NAMES]) - truth
    found[1] = np.angle(np.exp(1j * found[1]))
    return found


def cramer_rao(truth, noise):
    """Smallest standard deviations (4, n) of unbiased estimates, from numerical derivatives."""
    truth = np.array(truth)
    derivatives = []
    for k in range(4):
        step = np.zeros_like(truth)
        step[k] = 1e-5 * (np.abs(truth[k]) if k != 2 else 1.0)
        derivatives.append((sho_response(FREQUENCY_kHz, *(truth + step))
                            - sho_response(FREQUENCY_kHz, *(truth - step))) / (2 * step[k][:, None]))
    jacobian = np.array(derivatives)
    information = np.einsum("inb,jnb->nij", jacobian.conj(), jacobian).real / noise[:, None, None] ** 2
    # In units of each parameter's own information, so that the inverse is well conditioned.
    unit = np.sqrt(np.einsum("nii->ni", information))
    inverse = np.linalg.inv(information / unit[:, :, None] / unit[:, None])
    return (np.sqrt(np.einsum("nii->ni", inverse)) / unit).T


def noisy(truth, snr, seed):
    """Spectra (n, bins) and the standard deviation of either part of a bin (n,)."""
    noise = truth[0] * truth[3] / snr
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((2, len(noise), FREQUENCY_kHz.size))
    return sho_response(FREQUENCY_kHz, *truth) + noise[:, None] * (white[0] + 1j * white[1]), noise


def test_the_response_is_that_of_the_equation_of_motion():
    """x'' + γ x' + ω₀² x = −A ω₀² exp(iωt + iφ), solved by x = H exp(iωt)."""
    f, amplitude, phase, resonance, quality = np.array([0.7, 1.0, 1.3]), 2.0, 0.4, 1.1, 8.0
    response = sho_response(f, amplitude, phase, resonance, quality)
    first, second = 1j * f * response, -(f**2) * response
    force = -amplitude * np.exp(1j * phase) * resonance**2
    np.testing.assert_allclose(second + resonance / quality * first + resonance**2 * response, force)
    assert np.abs(sho_response(np.array([1.1]), 2.0, 0.4, 1.1, 8.0))[0] == pytest.approx(16)


def test_exact_spectra_are_fitted_exactly():
    truth = draw(500, 0)
    fit = fit_sho(sho_response(FREQUENCY_kHz, *truth), FREQUENCY_kHz)
    for name, true in zip(NAMES, truth, strict=True):
        np.testing.assert_allclose(getattr(fit, name), true, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(fit.r2, 1)


@pytest.mark.parametrize("snr", [10, 30, 300])
def test_errors_reach_the_cramer_rao_bound(snr):
    truth = draw(4000, snr)
    spectra, noise = noisy(truth, snr, seed=1)
    fit = fit_sho(spectra, FREQUENCY_kHz)
    bound = cramer_rao(truth, noise)
    ratio = np.sqrt(np.mean((errors(fit, truth) / bound) ** 2, axis=1))
    assert (ratio < 1.5).all() and (ratio > 0.9).all(), ratio


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(-12, 12), turn=st.floats(-7, 7))
def test_scale_and_phase_of_the_spectra_pass_into_amplitude_and_phase(seed, scale, turn):
    truth = draw(20, seed)
    spectra, _ = noisy(truth, 30, seed)
    fit = fit_sho(spectra, FREQUENCY_kHz)
    other = fit_sho(spectra * 10**scale * np.exp(1j * turn), FREQUENCY_kHz)
    np.testing.assert_allclose(other.amplitude, fit.amplitude * 10**scale, rtol=1e-3)
    np.testing.assert_allclose(other.frequency, fit.frequency, rtol=1e-5)
    assert np.abs(np.angle(np.exp(1j * (other.phase - fit.phase - turn)))).max() < 1e-2


@given(seed=st.integers(0, 2**32 - 1))
def test_noise_alone_stays_within_the_bounds(seed):
    rng = np.random.default_rng(seed)
    spectra = rng.standard_normal((30, 64)) + 1j * rng.standard_normal((30, 64))
    fit = fit_sho(spectra, FREQUENCY_kHz)
    assert (fit.frequency >= 1300 - 1e-6).all() and (fit.frequency <= 1350 + 1e-6).all()
    assert (fit.quality >= LEAST_QUALITY * (1 - 1e-9)).all() and (fit.quality <= MOST_QUALITY * (1 + 1e-9)).all()
    assert (fit.r2 <= 1).all() and np.median(fit.r2) < 0.5


def test_a_resonance_outside_the_band_ends_at_the_bound_shapes_are_kept_and_unusable_spectra_are_nan():
    fit = fit_sho(sho_response(FREQUENCY_kHz, [1.0], [0.0], [1400.0], [200.0]), FREQUENCY_kHz)
    assert fit.frequency[0] == pytest.approx(1350)
    truth = draw(12, 3)
    spectra = sho_response(FREQUENCY_kHz, *truth).reshape(3, 4, -1)
    spectra[0, 1, 5], spectra[2, 3] = np.nan, 0
    fit = fit_sho(spectra, FREQUENCY_kHz)
    assert fit.amplitude.shape == fit.r2.shape == (3, 4)
    assert np.argwhere(np.isnan(fit.amplitude)).tolist() == [[0, 1], [2, 3]]
    assert fit_sho(spectra[:0], FREQUENCY_kHz).phase.shape == (0, 4)


@pytest.mark.parametrize(("frequency", "message"), [
    (FREQUENCY_kHz[::-1], "rising values"),
    (FREQUENCY_kHz - 1300, "positive, rising"),
    (FREQUENCY_kHz[:4], "5 or more"),
    (FREQUENCY_kHz[:20], r"expected \(..., 20\)"),
])
def test_frequencies_that_do_not_fit_are_refused(frequency, message):
    with pytest.raises(ValueError, match=message):
        fit_sho(np.ones((2, 64), complex), frequency)


def switching(rng, offset, spread):
    """A and φ (rad, wrapped) of 30 loops that switch along a line turned by `offset`."""
    voltage_V = 10 * np.sin(2 * np.pi * np.arange(40) / 40)
    lag_V = 3 * np.cos(2 * np.pi * np.arange(40) / 40)
    loops = np.tanh((voltage_V + lag_V) / 2) * rng.uniform(0.5, 1, (30, 1))
    response = (loops + 0.2) * np.exp(-1j * offset)
    response = response + spread * (rng.standard_normal((30, 40)) + 1j * rng.standard_normal((30, 40)))
    return loops, voltage_V, np.abs(response), np.angle(response)


@given(offset=st.floats(-np.pi, np.pi), seed=st.integers(0, 99))
def test_the_rotation_undoes_any_phase_offset_and_no_wrap_matters(offset, seed):
    rng = np.random.default_rng(seed)
    loops, voltage_V, amplitude, phase = switching(rng, offset, 0.02)
    theta = optimum_rotation(amplitude, phase, voltage_V)
    assert np.abs(np.angle(np.exp(1j * (theta - offset)))) < 0.02
    np.testing.assert_allclose(piezoresponse(amplitude, phase, theta), loops + 0.2, atol=0.15)
    wrapped = phase + 2 * np.pi * rng.integers(-2, 3, phase.shape)
    again = optimum_rotation(amplitude, wrapped, voltage_V)
    assert np.abs(np.angle(np.exp(1j * (again - theta)))) < 1e-9


def test_missing_points_and_unswitched_pixels_do_not_turn_the_loops_and_none_at_all_are_refused():
    _, voltage_V, amplitude, phase = switching(np.random.default_rng(0), 1.0, 0.01)
    amplitude[3, 4:9] = np.nan
    amplitude[5], phase[5] = 50.0, 2.5  # strong and constant: says nothing about switching
    assert optimum_rotation(amplitude, phase, voltage_V) == pytest.approx(1.0, abs=0.02)
    with pytest.raises(ValueError, match="no direction"):
        optimum_rotation(np.ones((3, 5)), np.zeros((3, 5)), np.arange(5.0))


def test_raw_spectra_of_the_twin_lead_back_to_its_loops():
    made = twin.simulate(seed=3, shape=(8, 6))
    spectra, frequency_kHz = twin.raw_spectra(made.piezoresponse, made.resonance_kHz)
    assert spectra.shape == (8, 6, 96, twin.N_BINS)
    fit = fit_sho(spectra, frequency_kHz)
    theta = optimum_rotation(fit.amplitude, fit.phase, made.voltage_V)
    assert theta == pytest.approx(twin.INSTRUMENT_PHASE, abs=1e-3)
    error = piezoresponse(fit.amplitude, fit.phase, theta) - made.piezoresponse
    assert np.sqrt(np.mean(error**2)) < 0.01 * made.piezoresponse.std()
    strong = np.abs(made.piezoresponse) > 2e-5
    assert np.abs(fit.frequency - made.resonance_kHz)[strong].max() < 0.2
    assert np.median(fit.quality[strong]) == pytest.approx(twin.QUALITY, rel=0.01)
